"""A day of an account as the ledger keeps it, and the request of its next generation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from config.accounts import VonageAccount
from config.queues import DUE
from ledger import states
from ledger.days import Day
from ledger.errors import NotPossible
from ledger.job import Job
from ledger.requests import Request

from . import errors, windows
from .arguments import utc_text
from .resources import ledger, vonage_account


def open_day(
    alias: str, day: date, *, by: str, task_id: str | None = None
) -> tuple[Job, int | None]:
    """Open the export of a day that somebody asks for, or join the one that runs or completed it.
    What is opened runs under ``task_id``, the task that asks. The nightly plan goes on after the
    last day that is known, so those that it has not come to yet become known with this one.

    Raises InvalidArgument for a day that has not begun.
    """
    account = vonage_account(alias)
    timezone = windows.zone(account)
    now = datetime.fromtimestamp(ledger().database.time(), UTC)
    today = windows.local_day(now, timezone)
    if day >= today:
        raise errors.InvalidArgument(
            f"not done: day: {day} is not over in {timezone}; ask for it tomorrow"
        )
    return ledger().days.open(
        day_row(alias, day, gave_up=False),
        earlier=_earlier(account, day, now),
        night=today,
        request_for=lambda row: replace(day_request(row), task_id=task_id),
        by=by,
    )


def unplanned(account: VonageAccount, newest_due: date) -> list[Day]:
    """The days up to ``newest_due`` that follow the last one that is known, as they are first
    planned; those that no night catches up are given up.
    """
    nightly, night = account.nightly, windows.night_of(newest_due)
    assert nightly is not None
    known = ledger().days.newest(account.alias)
    rows = [
        day_row(account.alias, day, gave_up=(night - day).days > nightly.catchup_days)
        for day in windows.due_days(newest_due, known, nightly.catchup_days)
    ]
    if rows and known is not None:
        (before,) = ledger().days.of(account.alias, known, known)
        # Where days are counted by another time zone now, no hour is left between them.
        start = min(rows[0].window_start, before.window_end)
        rows[0] = replace(rows[0], window_start=start)
    return rows


def day_row(alias: str, day: date, *, gave_up: bool) -> Day:
    """A day as it is first planned, with the filters that are configured now."""
    account = vonage_account(alias)
    timezone = windows.zone(account)
    start, end = windows.window(day, timezone)
    nightly = account.nightly
    return Day(
        account=alias,
        day=day,
        window_start=start.timestamp(),
        window_end=end.timestamp(),
        filters=dict(nightly.filters) if nightly else {},
        settle_seconds=nightly.settle_minutes * 60 if nightly else 0,
        timezone=timezone,
        state=states.DAY_GAVE_UP if gave_up else states.DAY_DUE,
        generation=0,
        job_id=None,
        manifest=None,
        counts=None,
    )


def day_request(day: Day) -> Request:
    """The request of a day's generation; everything it needs is the row's, not the settings'."""
    start = datetime.fromtimestamp(day.window_start, UTC)
    last = datetime.fromtimestamp(day.window_end - 1, UTC)
    return Request(
        kind="export.run",
        account=day.account,
        request_id=f"day:{day.day.isoformat()}#{day.generation}",
        parameters={
            "day": day.day.isoformat(),
            "generation": day.generation,
            "filters": day.filters,
            # Half open in the ledger; the provider's upper bound is inclusive (seed 004).
            "window": {"start": utc_text(start), "last": utc_text(last)},
            "folder_day": day.day.isoformat(),
            "settled_at": day.window_end + day.settle_seconds,
        },
        queue=DUE,
    )


def _earlier(account: VonageAccount, day: date, now: datetime) -> list[Day]:
    if account.nightly is None:
        return []
    return unplanned(account, max(day, windows.newest_due(account.nightly, now)))


def reopen(job: Job, *, by: str) -> tuple[Job, int | None]:
    """The day's next generation after one that failed. Raises NotPossible where it did not."""
    if job.state not in (states.FAILED, states.CANCELLED):
        raise NotPossible(f"not done: job {job.job_id} is {job.state}, not failed")
    day = date.fromisoformat(job.parameters["day"])
    return open_day(job.account, day, by=by)
