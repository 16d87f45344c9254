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
    """Open the export of a day on request, or join the one that runs or completed it.

    A completed export is joined only while its files are in the archive. An opened export runs
    under ``task_id``, the requesting task, and at the time that ``timed`` sets. The nightly plan
    continues after the last known day, so earlier days that it has not planned yet become known
    with this one.

    Raises InvalidArgument for a day that is not over.
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
        earlier=_skipped_days(account, day, now),
        night=today,
        request_for=lambda row: timed(replace(day_request(row), task_id=task_id)),
        by=by,
    )


def unplanned(account: Account, newest_due: date) -> list[Day]:
    """Return the days after the last known one up to ``newest_due``, as they are first planned.

    The days within the catch-up period are included, known or not. Older days, which no night
    catches up, are given up.
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
    return rows if known is None else _close_gap(rows, known)


def _close_gap(rows: list[Day], known: date) -> list[Day]:
    """Extend the first row after ``known`` back to that day's end.

    If days are counted by another time zone now, no hour is lost between them.
    """
    found = ledger().days.of(rows[0].account, known, known) if rows else []
    ends = {row.day: row.window_end for row in found}
    return [
        replace(row, window_start=min(row.window_start, ends.get(row.day - _DAY, row.window_start)))
        for row in rows
    ]


def day_row(alias: str, day: date, *, gave_up: bool) -> Day:
    """Return a day as it is first planned, with the filters that are configured now."""
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
    """Return the request of a day's generation, made from the row only, not from the settings."""
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
            # The window is half open in the ledger; the provider's upper bound is inclusive.
            "window": {"start": utc_text(start), "last": utc_text(last)},
            "folder_day": day.day.isoformat(),
            "settled_at": day.window_end + day.settle_seconds,
        },
        queue=DUE,
    )


def _skipped_days(account: Account, day: date, now: datetime) -> list[Day]:
    """Return the days that the plan would skip if it continued after ``day``."""
    known = ledger().days.newest(account.alias)
    if account.nights is None or known is None:
        return []
    newest_due = max(day, windows.newest_due(account.nights, now))
    return [row for row in unplanned(account, newest_due) if row.day > known]


def reopen(job: Job, *, by: str) -> tuple[Job, int | None]:
    """Open the day's next generation after a failed one, or one with files gone from the archive.

    Raises NotPossible if neither is the case.
    """
    day = date.fromisoformat(job.parameters["day"])
    if job.state not in (states.FAILED, states.CANCELLED):
        watch.look_at_day(job.account, day)
        (row,) = ledger().days.of(job.account, day, day)
        if row.state != states.DAY_DAMAGED:
            raise NotPossible(f"not done: job {job.job_id} is {job.state}, not failed")
    return open_day(job.account, day, by=by)


def _may_lack_files(alias: str, day: date) -> bool:
    """Return whether files of a day were archived, and no export of it is in progress."""
    return any(
        row.generation and row.state != states.DAY_RUNNING
        for row in ledger().days.of(alias, day, day)
    )
