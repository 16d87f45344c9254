"""Days of an account: their windows, and which of them is due when."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config.nightly import Nightly

_DAY = timedelta(days=1)


def window(day: date, timezone: str) -> tuple[datetime, datetime]:
    """[00:00, 24:00) of a local day, in UTC. Days tile the time without gap or overlap, also where
    midnight is skipped or comes twice: it is the first instant at which the new date holds.
    """
    return _midnight(day, timezone), _midnight(day + _DAY, timezone)


def local_day(instant: datetime, timezone: str) -> date:
    """The local day that an instant belongs to."""
    return instant.astimezone(ZoneInfo(timezone)).date()


def not_over(day: date, timezone: str) -> str:
    """Say why a day cannot be exported yet, and when it can."""
    return f"{day} is not over in {timezone}; ask for it on {day + _DAY} or later"


def newest_due(nightly: Nightly, now: datetime) -> date:
    """The last day whose night has come: the local time ``at`` on the day after has passed."""
    today = local_day(now, nightly.timezone)
    due_at = datetime.combine(today, nightly.at, ZoneInfo(nightly.timezone))
    # Aware comparison in one zone would compare wall clocks; both sides in UTC compare instants.
    return today - _DAY if now.astimezone(UTC) >= due_at.astimezone(UTC) else today - 2 * _DAY


def night_of(day: date) -> date:
    """The night on which a day is first due: the local date after it."""
    return day + _DAY


def due_days(newest_due: date, newest_planned: date | None, catchup_days: int) -> list[date]:
    """The days to plan: from the one after the last planned, or, for an account that was never
    planned, the last ``catchup_days``, up to the newest that is due.
    """
    first = newest_due - timedelta(days=max(catchup_days, 1) - 1)
    if newest_planned is not None:
        first = newest_planned + _DAY
    return [first + timedelta(days=n) for n in range((newest_due - first).days + 1)]


def unplanned_days(newest_due: date, newest_planned: date | None, catchup_days: int) -> set[date]:
    """Return the days that the next tick of the nightly plan takes up, as far as they have no row
    yet: those after the last planned one, and those that are caught up whatever was planned, since
    a person may have asked for a later day before the first night.
    """
    return {
        *due_days(newest_due, None, catchup_days),
        *due_days(newest_due, newest_planned, catchup_days),
    }


def is_given_up(day: date, newest_due: date, catchup_days: int) -> bool:
    """Return whether the plan records a day only as missed: it is older than ``catchup_days``."""
    return (night_of(newest_due) - day).days > catchup_days


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)
