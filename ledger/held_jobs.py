"""The alerts about jobs that an obstacle holds (`ledger/core/held.py`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, select, update

from .alerts import EVERY_ACCOUNT, HELD, Alert, Alerts
from .core import states
from .core.database import Database, now
from .core.held import (
    ACCOUNT,
    ARCHIVE,
    CREDENTIALS,
    DISK,
    NOTE,
    OF_ONE_ACCOUNT,
    REFUSED_ACCOUNT,
    Held,
    statement,
)
from .core.job import iso
from .core.queue_names import in_any_queue
from .core.schema import jobs

#: How long jobs are held before an alert is opened, in seconds.
ALERT_SECONDS = 180.0

_MEANING = {
    ARCHIVE: "the archive",
    DISK: "a full disk",
    CREDENTIALS: "credentials that the provider refuses",
    ACCOUNT: "an account that no running worker knows",
}


class HeldJobs:
    """The alerts about held jobs."""

    def __init__(self, database: Database, alerts: Alerts) -> None:
        self._database = database
        self._alerts = alerts

    def held(self) -> list[Held]:
        """Return the held jobs, by obstacle and account. Raises LedgerAway."""
        return self._database.read(
            lambda connection: [Held(**row._mapping) for row in connection.execute(statement())]  # noqa: SLF001
        )

    def refusals(self, account: str, *, most: int) -> list[Any]:
        """Return the newest notes, up to ``most``, of an account's waiting jobs about the account
        whose credentials were refused. Raises LedgerAway.
        """
        of_key = (
            select(jobs.c.work[REFUSED_ACCOUNT])
            .where(*_waits(account, CREDENTIALS))
            .where(jobs.c.work[REFUSED_ACCOUNT, "salt"].as_string().is_not(None))
            .order_by(jobs.c.updated_at.desc())
            .limit(most)
        )
        return self._database.read(
            lambda connection: list(connection.execute(of_key).scalars().all())
        )

    def hasten(self, account: str) -> int:
        """Let the jobs of an account that wait for its credentials, or for a worker that knows it,
        be tried at once; return how many there are. Raises LedgerAway.
        """
        hastened = (
            update(jobs)
            .where(*_waits(account, *OF_ONE_ACCOUNT), jobs.c.next_attempt_at > now())
            .values(next_attempt_at=now(), hinted_at=None)
        )
        return self._database.write(lambda connection: connection.execute(hastened).rowcount)

    def update_alerts(self, *, after_seconds: float = ALERT_SECONDS) -> None:
        """Open the alert of each obstacle that has held jobs for so long, and close the alerts of
        the obstacles that hold none. Raises LedgerAway.
        """
        found = _by_cause(self.held())
        is_open = {one["cause"] for one in self._alerts.all_open() if one["kind"] == HELD}
        for cause, groups in found.items():
            if cause not in is_open and max(one.age for one in groups) >= after_seconds:
                self._alerts.open(_alert(cause, groups))
        for cause in is_open - found.keys():
            self._alerts.close(cause)


def _waits(account: str, *obstacles: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for an account's jobs that wait for one of these obstacles."""
    return (
        jobs.c.state.in_(states.OPEN),
        in_any_queue(),
        jobs.c.account == account,
        jobs.c.work[NOTE, "by"].as_string().in_(obstacles),
    )


def _by_cause(found: list[Held]) -> dict[str, list[Held]]:
    causes: dict[str, list[Held]] = {}
    for one in found:
        of = f":{one.account}" if one.obstacle in OF_ONE_ACCOUNT else ""
        causes.setdefault(f"{HELD}:{one.obstacle}{of}", []).append(one)
    return causes


def _alert(cause: str, groups: list[Held]) -> Alert:
    count, since = sum(one.jobs for one in groups), min(one.since for one in groups)
    obstacle = groups[0].obstacle
    account = groups[0].account if obstacle in OF_ONE_ACCOUNT else EVERY_ACCOUNT
    names = ", ".join(sorted({one.account for one in groups}))
    have = "1 job has" if count == 1 else f"{count} jobs have"
    return Alert(
        cause,
        HELD,
        account,
        f"{have} been held by {_MEANING[obstacle]} since {iso(since)} (accounts: {names}); nothing "
        "is lost: each continues by itself; to see what is wrong, run: earwitness doctor; to "
        "see the jobs: earwitness status --state waiting",
    )
