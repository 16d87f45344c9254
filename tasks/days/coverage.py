"""The coverage of an account: the state of each of its days, planned or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from config.accounts import Nightly
from config.settings import settings
from ledger.core import states
from ledger.days import Day
from ledger.errors import NoSuchJob
from ledger.ledger import Ledger

from . import windows
from .missing_files import GoneDays

COMPLETE = "complete"
INCOMPLETE = "incomplete"
FAILED = "failed"
WAITING = "waiting"
NOT_DUE = "not due"
DAMAGED = "damaged"
GAVE_UP = "gave up"
_MISSED = "it is older than catchup_days; export it by hand"


@dataclass(frozen=True)
class DayCoverage:
    """The state of a day of an account, with its counts if a run of it reached a manifest."""

    account: str
    day: str
    state: str
    listed: int | None = None
    archived: int | None = None
    missing: int | None = None
    generation: int = 0
    job_id: str | None = None
    manifest: str | None = None
    reason: str | None = None


def covered_accounts(ledger: Ledger) -> list[str]:
    """Return the accounts with a nightly export, and those that ever had a day, in order."""
    nightly = {alias for alias in settings().accounts if _nightly(alias) is not None}
    return sorted(nightly | set(ledger.days.accounts()))


def coverage_of(
    ledger: Ledger, alias: str, first: date | None, last: date | None, gone: GoneDays
) -> Iterator[DayCoverage]:
    """Yield the days of an account in order and without gaps, both bounds included.

    Without ``first`` the first planned day is the first, without ``last`` the last that is due.
    ``gone`` are the days that lack files (`missing_files.gone`).
    """
    rows = {row.day: row for row in ledger.days.of(alias, first, last)}
    nightly, newest = _nightly(alias), ledger.days.newest(alias)
    for day in _span(nightly, newest, rows, first, last):
        if day in rows:
            yield _planned(ledger, rows[day], gone.get((alias, day)))
        else:
            yield _unplanned(alias, nightly, newest, day)


def _nightly(alias: str) -> Nightly | None:
    account = settings().accounts.get(alias)
    return None if account is None else account.nights


def _span(
    nightly: Nightly | None,
    newest: date | None,
    rows: dict[date, Day],
    first: date | None,
    last: date | None,
) -> list[date]:
    wanted = set(rows)
    if nightly is not None:
        due = windows.newest_due(nightly, datetime.now(UTC))
        wanted |= windows.unplanned_days(due, newest, nightly.catchup_days)
    begins = min(wanted, default=None) if first is None else first
    ends = max(wanted, default=begins) if last is None else last
    if begins is None or ends is None:
        return []
    return [begins + timedelta(days=n) for n in range((ends - begins).days + 1)]


def _planned(ledger: Ledger, row: Day, gone: str | None) -> DayCoverage:
    counts = row.counts or {}
    state, reason = _state_and_reason(ledger, row, gone)
    return DayCoverage(
        row.account,
        row.day.isoformat(),
        state,
        counts.get("listed"),
        counts.get("archived"),
        counts.get("missing"),
        row.generation,
        row.job_id,
        row.manifest,
        reason,
    )


def _state_and_reason(ledger: Ledger, row: Day, gone: str | None) -> tuple[str, str | None]:
    if gone is not None:
        return DAMAGED, f"{gone}; restore it from a copy, or export the day again"
    if row.state in (states.DAY_COMPLETE, states.DAY_DAMAGED):
        # A damaged day that lacks nothing now becomes complete with the next comparison.
        return COMPLETE, None
    if row.state == states.DAY_GAVE_UP:
        return GAVE_UP, _MISSED
    reason = _reason(ledger, row.job_id)
    if row.state == states.DAY_INCOMPLETE:
        # Without counts, no run of the day has reached a manifest.
        return (INCOMPLETE if row.counts else FAILED), reason
    return WAITING, reason or "due"


def _reason(ledger: Ledger, job_id: str | None) -> str | None:
    try:
        job = ledger.jobs.job(job_id) if job_id else None
    except NoSuchJob:
        return None
    return None if job is None else job.reason or job.state


def _unplanned(alias: str, nightly: Nightly | None, newest: date | None, day: date) -> DayCoverage:
    if nightly is None:
        return DayCoverage(
            alias, day.isoformat(), NOT_DUE, reason="the account has no nightly export"
        )
    newest_due = windows.newest_due(nightly, datetime.now(UTC))
    if day > newest_due:
        return DayCoverage(alias, day.isoformat(), NOT_DUE, reason="not scheduled yet")
    if day not in windows.unplanned_days(newest_due, newest, nightly.catchup_days):
        why = "before the account's first night; export it by hand"
        return DayCoverage(alias, day.isoformat(), NOT_DUE, reason=why)
    if windows.is_given_up(day, newest_due, nightly.catchup_days):
        return DayCoverage(alias, day.isoformat(), GAVE_UP, reason=_MISSED)
    why = "not planned yet: beat's next tick opens it, within five minutes where beat runs"
    return DayCoverage(alias, day.isoformat(), WAITING, reason=why)
