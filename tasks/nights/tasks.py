"""The nightly plan: which days of which accounts are due. Beat only triggers it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from config.accounts import Account
from config.logging import bind
from config.masking import masked_error
from config.settings import settings
from ledger.alerts import DAY, Alert
from ledger.errors import LedgerAway
from tasks.days import day, windows
from tasks.runtime.arguments import Arguments
from tasks.runtime.context import ledger
from tasks.runtime.entry import plain_task
from tasks.runtime.messages import publish_first

from . import ticks
from .deletions import plan_deletions
from .results import PlannedNights

_log = logging.getLogger(__name__)


class PlanNights(Arguments):
    """``earwitness.nightly.plan``."""


@plain_task("nightly.plan", PlanNights, PlannedNights, may_expire=True)
def plan_nights(_: PlanNights) -> dict[str, Any]:
    """Open every export that is due."""
    now = datetime.fromtimestamp(ledger().database.time(), UTC)
    planned = plan(now)
    ticks.note(now)
    return planned


def plan(now: datetime) -> dict[str, Any]:
    """Plan every account's nights as of ``now``.

    Each account is a transaction of its own, and an error in one does not stop the others.
    """
    opened: dict[str, int] = {}
    failed: list[str] = []
    for account in settings().accounts.values():
        if account.nights is None:
            continue
        with bind(account=account.alias):
            try:
                opened[account.alias] = plan_account(account, now)
                ledger().alerts.close(unplanned_cause(account.alias))
            except LedgerAway:
                raise
            except Exception as error:  # noqa: BLE001 - logged; the other accounts' nights must come
                _log.exception("the nights of account %s could not be planned", account.alias)
                failed.append(account.alias)
                ledger().alerts.open(_unplanned(account.alias, error))
    return {"opened": opened, "failed": failed}


def unplanned_cause(alias: str) -> str:
    """Return the cause of the alert that no night of an account can be planned."""
    return f"{DAY}:{alias}:planning"


def _unplanned(alias: str, error: Exception) -> Alert:
    why = masked_error(error)
    message = f"the nights of account {alias} could not be planned: {why}; see the workers' logs"
    return Alert(unplanned_cause(alias), DAY, alias, message)


def plan_account(account: Account, now: datetime) -> int:
    """Plan one account's nights; return how many exports were opened."""
    nightly = account.nights
    assert nightly is not None
    newest = windows.newest_due(nightly, now)
    opened = ledger().days.plan(
        account.alias,
        day.unplanned(account, newest),
        night=windows.night_of(newest),
        catchup_days=nightly.catchup_days,
        request_for=day.day_request,
        by="nightly plan",
    )
    for job, number in opened:
        if number is not None:
            publish_first(job, number)
    plan_deletions(account, now)
    return len(opened)
