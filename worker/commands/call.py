"""``call``: request a certified call."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from ledger.call_outcomes import KIND
from ledger.core.opening import Request
from ledger.ledger import Ledger

from .deployment import opened
from .job_opening import open_job, report_jobs, request_of, wait_option
from .options import account_option, as_json


@click.command()
@account_option
@click.option(
    "--request-id",
    required=True,
    help="Your own id for this call. Using it again never places a second call.",
)
@click.option("--country", required=True, metavar="CC", help="Two letters, such as ES.")
@click.option(
    "--phone", required=True, metavar="N", help="In national form, or with + and country code."
)
@click.option("--max-seconds", required=True, type=int, help="The call's maximum length.")
@click.option("--company-name", help="[default: the account's]")
@click.option("--company-id", help="The company's tax id. [default: the account's]")
@click.option("--not-after", metavar="INSTANT", help="Such as 2026-11-21T10:15:00+01:00.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@wait_option
@as_json
def call(yes: bool, wait: bool, as_json: bool, **arguments: Any) -> int:
    """Request a certified call, which costs money. The command asks first, and names the number,
    the account and how much of the day's cap is used.

    With --wait the status is 1 unless the platform accepted the call.
    """
    ledger = opened()
    _, made = request_of(KIND, arguments)
    assert isinstance(made, Request)
    if not yes and not _is_known(ledger, made):
        _confirm(ledger, made)
    return report_jobs([open_job(made)], wait=wait, as_json=as_json)


def _is_known(ledger: Ledger, made: Request) -> bool:
    """Return whether the request joins a call that was requested before, which costs nothing."""
    return bool(ledger.jobs.by_id([made.job_id]))


def _confirm(ledger: Ledger, made: Request) -> None:
    """Ask whether the call may be placed. Raises Abort for no, UsageError without a terminal."""
    asked, cap = made.parameters, made.details
    today = cap.day(datetime.now(UTC).timestamp())
    counted = ledger.history.certified_calls(today, today)
    number = next((row.calls for row in counted if row.account == made.account), 0) + 1
    question = (
        f"Request a certified call to {asked['phone']} ({asked['country']}) by account "
        f"{made.account}, of at most {asked['max_seconds']} s? It costs money and cannot be "
        f"undone; it is call {number} of at most {cap.limit} on {today}."
    )
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nothing was requested: confirm with --yes.")
    click.confirm(question, abort=True, err=True)
