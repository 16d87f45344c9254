"""``doctor`` on beat: whether the due nights are planned, and possible reasons if not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from config.settings import Settings
from tasks.days import windows
from tasks.runtime.context import ledger
from worker.health.heartbeat_files import Mark, marks

from .findings import Finding, error, ok, warning

#: Beat ticks every five minutes, first five minutes after its start, and then a worker plans. A
#: night that is due for less than this is not late.
_PLANNING_TIME = timedelta(minutes=15)
_FIRST_TICK_SECONDS = 6 * 60
#: A deployment that was just set up may not have started beat yet.
_NEW_LEDGER_SECONDS = 15 * 60
#: The process of an older heartbeat file was killed.
_FRESH_SECONDS = 45
_START = (
    "start both: celery -A worker beat, celery -A worker worker; the first tick comes within "
    "five minutes"
)


def examined(settings: Settings) -> Iterator[Finding]:
    """Examine whether beat ticks, by the nights that its ticks plan."""
    due = {
        account.alias: windows.newest_due(account.nights, datetime.now(UTC) - _PLANNING_TIME)
        for account in settings.accounts.values()
        if account.nights is not None
    }
    if not due:
        yield ok("beat", "unknown: only nightly exports show it, and no account has one")
        return
    late = ", ".join(_late_accounts(due))
    if not late:
        named = ", ".join(f"{alias} {day}" for alias, day in sorted(due.items()))
        yield ok("beat", f"the last nights were planned ({named}); it ticked then")
        return
    beat = _running_beat(settings)
    yield _without_beat(late) if beat is None else _with_running_beat(beat, late)


def _late_accounts(due: dict[str, date]) -> list[str]:
    """Return the accounts with unplanned nights, and since which day."""
    late = []
    for alias, day in due.items():
        newest = ledger().days.newest(alias)
        if newest is None or newest < day:
            late.append(f"{alias} since {day if newest is None else newest + timedelta(days=1)}")
    return late


def _running_beat(settings: Settings) -> Mark | None:
    """Return the mark of the running beat on this host that started first, None without one."""
    now = time.monotonic()
    found = [
        mark
        for mark in marks(settings.spool_dir)
        if mark.kind == "beat" and 0 <= now - mark.at <= _FRESH_SECONDS
    ]
    return min(found, key=lambda mark: mark.began_at, default=None)


def _with_running_beat(beat: Mark, late: str) -> Finding:
    runs_for = time.monotonic() - beat.began_at
    if runs_for < _FIRST_TICK_SECONDS:
        return ok(
            "beat",
            f"it started {runs_for:.0f} s ago; its first tick comes within five minutes of the "
            f"start and plans {late}",
        )
    return error(
        "beat",
        f"nights are not planned ({late}), though beat runs here: no worker carries out its ticks",
        "start a worker that consumes earwitness, or see its log: celery -A worker worker",
    )


def _without_beat(late: str) -> Finding:
    age = time.time() - ledger().identity.created_at()
    if 0 <= age < _NEW_LEDGER_SECONDS:
        meaning = f"nights are not planned yet ({late}); the ledger is {age / 60:.0f} minutes old"
        return warning("beat", meaning, f"if beat does not run yet, {_START}")
    return error("beat", f"nights are not planned ({late}): no tick came", _START)
