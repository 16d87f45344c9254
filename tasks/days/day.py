"""A day of an account as the ledger keeps it, and the request of its next generation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from config.accounts import Account
from config.queues import DUE
from ledger.core import states
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.days import Day
from ledger.errors import NotPossible
from providers.accounts import RecordingsAccount
from tasks import errors
from tasks.archive_watch import watch
from tasks.runtime.client import account_of
from tasks.runtime.context import ledger
from tasks.runtime.fields import utc_text

from . import windows

_DAY = timedelta(days=1)


def open_day(
    alias: str,
    day: date,
    *,
    by: str,
    task_id: str | None = None,
    timed: Callable[[Request], Request] = lambda request: request,
) -> tuple[Job, int | None]:
    """Open the export of a day that somebody asks for, or join the one that runs or completed it,
    as long as its files are in the archive. What is opened runs under ``task_id``, the task that
    asks, and when ``timed`` says. The nightly plan goes on after the
    last day that is known, so those that it has not come to yet become known with this one.

    Raises InvalidArgument for a day that has not begun.
    """
    account = account_of(alias, RecordingsAccount)
    timezone = account.zone
    now = datetime.fromtimestamp(ledger().database.time(), UTC)
    today = windows.local_day(now, timezone)
    if day >= today:
        raise errors.InvalidArgument(f"not done: day: {windows.not_over(day, timezone)}")
    if _may_lack_files(alias, day):
        watch.look_at_day(alias, day)
    return ledger().days.open(
        day_row(alias, day, gave_up=False),
        earlier=_earlier(account, day, now),
        night=today,
        request_for=lambda row: timed(replace(day_request(row), task_id=task_id)),
        by=by,
    )


def unplanned(account: Account, newest_due: date) -> list[Day]:
    """The days up to ``newest_due`` that follow the last one that is known, as they are first
    planned, and those that are caught up, whether they are known or not; what no night catches up
    is given up.
    """
    nightly = account.nights
    assert nightly is not None
    known = ledger().days.newest(account.alias)
    rows = [
        day_row(
            account.alias,
            day,
            gave_up=windows.is_given_up(day, newest_due, nightly.catchup_days),
        )
        for day in sorted(windows.unplanned_days(newest_due, known, nightly.catchup_days))
    ]
    return rows if known is None else _joined(rows, known)


def _joined(rows: list[Day], known: date) -> list[Day]:
    """Where days are counted by another time zone now, no hour is left after the last one that is
    ``known``.
    """
    found = ledger().days.of(rows[0].account, known, known) if rows else []
    ends = {row.day: row.window_end for row in found}
    return [
        replace(row, window_start=min(row.window_start, ends.get(row.day - _DAY, row.window_start)))
        for row in rows
    ]


def day_row(alias: str, day: date, *, gave_up: bool) -> Day:
    """A day as it is first planned, with the filters that are configured now."""
    account = account_of(alias, RecordingsAccount)
    timezone = account.zone
    start, end = windows.window(day, timezone)
    nightly = account.nights
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
            # Half open in the ledger; the provider's upper bound is inclusive.
            "window": {"start": utc_text(start), "last": utc_text(last)},
            "folder_day": day.day.isoformat(),
            "settled_at": day.window_end + day.settle_seconds,
        },
        queue=DUE,
    )


def _earlier(account: Account, day: date, now: datetime) -> list[Day]:
    """What is passed over where the plan goes on after ``day``."""
    known = ledger().days.newest(account.alias)
    if account.nights is None or known is None:
        return []
    newest_due = max(day, windows.newest_due(account.nights, now))
    return [row for row in unplanned(account, newest_due) if row.day > known]


def reopen(job: Job, *, by: str) -> tuple[Job, int | None]:
    """The day's next generation after one that failed, or whose files are gone from the archive.
    Raises NotPossible where neither is so.
    """
    day = date.fromisoformat(job.parameters["day"])
    if job.state not in (states.FAILED, states.CANCELLED):
        watch.look_at_day(job.account, day)
        (row,) = ledger().days.of(job.account, day, day)
        if row.state != states.DAY_DAMAGED:
            raise NotPossible(f"not done: job {job.job_id} is {job.state}, not failed")
    return open_day(job.account, day, by=by)


def _may_lack_files(alias: str, day: date) -> bool:
    """Whether anything was archived of a day, and no export of it is under way."""
    return any(
        row.generation and row.state != states.DAY_RUNNING
        for row in ledger().days.of(alias, day, day)
    )
