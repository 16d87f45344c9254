"""Days of an account: their windows, and when each is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config.nightly import Nightly

_DAY = timedelta(days=1)


def window(day: date, timezone: str) -> tuple[datetime, datetime]:
    """Return [00:00, 24:00) of a local day, in UTC.

    Days tile the time without gap or overlap, even where midnight is skipped or occurs twice:
    midnight is the first instant at which the new date holds.
    """
    return _midnight(day, timezone), _midnight(day + _DAY, timezone)


def local_day(instant: datetime, timezone: str) -> date:
    """Return the local day of an instant."""
    return instant.astimezone(ZoneInfo(timezone)).date()


def not_over(day: date, timezone: str) -> str:
    """Return why a day cannot be exported yet, and when it can."""
    return f"{day} is not over in {timezone}; request it on {day + _DAY} or later"


def newest_due(nightly: Nightly, now: datetime) -> date:
    """Return the last day whose night has come: local time ``at`` on the next day has passed."""
    today = local_day(now, nightly.timezone)
    due_at = datetime.combine(today, nightly.at, ZoneInfo(nightly.timezone))
    # A comparison within one time zone would compare wall clocks; in UTC it compares instants.
    return today - _DAY if now.astimezone(UTC) >= due_at.astimezone(UTC) else today - 2 * _DAY


def newest_planned(
    nightly: Nightly, newest: date | None, ticked_at: datetime | None
) -> date | None:
    """Return the last day that beat has planned. ``newest`` is the last one of the ledger, which a
    person may have asked for, and ``ticked_at`` the time of the last tick, if it is known.
    """
    if newest is None or ticked_at is None:
        return newest
    return min(newest, newest_due(nightly, ticked_at))


def night_of(day: date) -> date:
    """Return the night on which a day is first due: the local date after it."""
    return day + _DAY


def due_days(newest_due: date, newest_planned: date | None, catchup_days: int) -> list[date]:
    """Return the days to plan, up to the newest that is due.

    The first is the day after the last planned one or, for an account that was never planned, the
    oldest of the last ``catchup_days``.
    """
    first = newest_due - timedelta(days=max(catchup_days, 1) - 1)
    if newest_planned is not None:
        first = newest_planned + _DAY
    return [first + timedelta(days=n) for n in range((newest_due - first).days + 1)]


def unplanned_days(newest_due: date, newest_planned: date | None, catchup_days: int) -> set[date]:
    """Return the days without a row that the next tick of the nightly plan considers.

    These are the days after the last planned one, and those within the catch-up period, planned or
    not, since a person may have requested a later day before the first night.
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
