"""Days that were over a short while ago, in a zone whose midnight is hours away.

Today and yesterday there are the same from the start of a run of the tests to its end, whatever the
time of day, and every night of yesterday is due.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

#: Where one is near its midnight, the other is in the middle of its day, and neither has a summer
#: time. Each with its rule in the words of POSIX.
_ZONES = {"Asia/Kolkata": "IST-5:30", "America/Bogota": "COT5"}
#: Far longer than a run of all tests takes.
_MARGIN = timedelta(hours=3)


def zone_at(now: datetime) -> str:
    """The name of a zone in which no midnight is within three hours of ``now``."""
    return next(name for name in _ZONES if _far_from_midnight(now.astimezone(ZoneInfo(name))))


def _far_from_midnight(local: datetime) -> bool:
    return (local - _MARGIN).date() == (local + _MARGIN).date()


_NOW = datetime.now(UTC)
ZONE = zone_at(_NOW)
POSIX_ZONE = _ZONES[ZONE]
TODAY: date = _NOW.astimezone(ZoneInfo(ZONE)).date()
YESTERDAY = TODAY - timedelta(days=1)
