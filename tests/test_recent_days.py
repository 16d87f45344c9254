"""The days that tests call today and yesterday stay the same while they run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from .recent_days import zone_at


@pytest.mark.parametrize(
    "day", [date(2026, 1, 15), date(2026, 3, 8), date(2026, 7, 1), date(2026, 11, 1)]
)
def test_no_midnight_is_near_whenever_a_run_starts(day: date) -> None:
    """In every minute of a day, in winter, in summer and where the clocks change, there is a zone
    whose day neither began nor ends within three hours.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for minute in range(24 * 60):
        now = start + timedelta(minutes=minute)
        zone = ZoneInfo(zone_at(now))
        days = {(now + timedelta(hours=hours)).astimezone(zone).date() for hours in (-3, 0, 3)}
        assert len(days) == 1, now
