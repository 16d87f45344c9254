"""``doctor`` on beat: whether the due nights are planned, and possible reasons if not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

from redis.exceptions import RedisError

from config.nightly import Nightly
from config.settings import Settings
from ledger.core.job import iso
from tasks.days import windows
from tasks.nights import ticks
from tasks.runtime.context import ledger
from worker.health.heartbeat_files import Mark, marks
from worker.redis.connecting import connected

from .findings import Finding, error, ok, warning

#: Beat ticks every five minutes, first five minutes after its start, and then a worker plans. A
#: night that is due for less than this is not late.
_PLANNING_TIME = timedelta(minutes=15)
_FIRST_TICK_SECONDS = 6 * 60
#: A deployment that was just set up may not have started beat yet.
_NEW_LEDGER_SECONDS = 15 * 60
#: The process of an older heartbeat file was killed.
_FRESH_SECONDS = 45
_REDIS_SECONDS = 3.0
_START = (
    "start both: celery -A worker beat, celery -A worker worker; the first tick comes within "
    "five minutes"
)


def examined(settings: Settings) -> Iterator[Finding]:
    """Examine whether beat ticks: a worker notes each tick that it carries out, and ticks plan the
    nights.
    """
    plans = {
        account.alias: account.nights
        for account in settings.accounts.values()
        if account.nights is not None
    }
    if not plans:
        yield ok("beat", "unknown: only nightly exports show it, and no account has one")
        return
    due = {
        alias: windows.newest_due(nightly, datetime.now(UTC) - _PLANNING_TIME)
        for alias, nightly in plans.items()
    }
    is_known, ticked_at = _last_tick(settings)
    late = ", ".join(_late_accounts(plans, due, ticked_at))
    beat = _running_beat(settings)
    if late:
        yield _without_beat(late) if beat is None else _with_running_beat(beat, late)
    elif ticked_at is None and is_known and beat is None and not _is_new():
        yield _never_ticked(due)
    else:
        yield _on_time(due, ticked_at)


def _last_tick(settings: Settings) -> tuple[bool, datetime | None]:
    """Return whether Redis answers, and when a worker carried out the last tick that it knows."""
    options = {"socket_timeout": _REDIS_SECONDS, "socket_connect_timeout": _REDIS_SECONDS}
    try:
        with connected(settings, **options) as client:
            return True, ticks.last(client)
    except (RedisError, OSError):
        return False, None  # reported by another part of doctor


def _late_accounts(
    plans: Mapping[str, Nightly], due: Mapping[str, date], ticked_at: datetime | None
) -> list[str]:
    """Return the accounts with unplanned nights, and since which day."""
    late = []
    for alias, day in due.items():
        newest = windows.newest_planned(plans[alias], ledger().days.newest(alias), ticked_at)
        if newest is None or newest < day:
            late.append(f"{alias} since {day if newest is None else newest + timedelta(days=1)}")
    return late


def _on_time(due: Mapping[str, date], ticked_at: datetime | None) -> Finding:
    last = "" if ticked_at is None else f"; its last tick came at {iso(ticked_at.timestamp())}"
    return ok("beat", f"the last nights were planned ({_named(due)}){last}")


def _never_ticked(due: Mapping[str, date]) -> Finding:
    return warning(
        "beat",
        f"no tick is noted in Redis, though one comes every five minutes: the last nights "
        f"({_named(due)}) were planned by hand, or Redis lost its data just now",
        f"if beat does not run, {_START}",
    )


def _named(due: Mapping[str, date]) -> str:
    return ", ".join(f"{alias} {day}" for alias, day in sorted(due.items()))


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
    if _is_new():
        minutes = round((time.time() - ledger().identity.created_at()) / 60)
        age = f"{minutes} minute{'s' * (minutes != 1)}"
        meaning = f"nights are not planned yet ({late}); the ledger is {age} old"
        return warning("beat", meaning, f"if beat does not run yet, {_START}")
    return error("beat", f"nights are not planned ({late}): no tick came", _START)


def _is_new() -> bool:
    """Return whether the ledger was made just now."""
    return 0 <= time.time() - ledger().identity.created_at() < _NEW_LEDGER_SECONDS
