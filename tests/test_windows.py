"""Days of an account: windows that tile the time, and the night on which each is due."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from config.accounts import Nightly
from tasks.days import windows

DAY = dt.timedelta(days=1)


def utc(text: str) -> dt.datetime:
    """An instant in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "timezone",
    [
        "Asia/Kolkata",
        "Europe/Madrid",
        "America/Havana",  # midnight comes twice
        "America/Sao_Paulo",  # midnight was skipped until 2018
        "Africa/Cairo",  # midnight is skipped on a Friday
        "Pacific/Apia",  # a whole day was skipped in 2011
    ],
)
@pytest.mark.parametrize("year", [2011, 2018, 2026])
def test_days_tile_a_year_without_gap_or_overlap(timezone: str, year: int) -> None:
    """Each day ends where the next begins, whatever the clocks do at midnight."""
    day = dt.date(year, 1, 1)
    previous_end = windows.window(day, timezone)[0]
    while day.year == year:
        start, end = windows.window(day, timezone)
        assert start == previous_end
        assert end >= start
        previous_end, day = end, day + DAY


def test_a_recording_belongs_to_the_day_whose_window_holds_it() -> None:
    """The local date of an instant and the window that holds it are the same day."""
    instant = utc("2026-03-29T00:30:00")
    while instant < utc("2026-03-30T12:00:00"):
        day = windows.local_day(instant, "Europe/Madrid")
        start, end = windows.window(day, "Europe/Madrid")
        assert start <= instant < end
        instant += dt.timedelta(minutes=10)


@pytest.mark.parametrize(
    ("day", "hours"),
    [(dt.date(2026, 3, 29), 23), (dt.date(2026, 10, 25), 25), (dt.date(2026, 6, 1), 24)],
)
def test_a_day_with_a_clock_change_is_as_long_as_it_is(day: dt.date, hours: int) -> None:
    """Spring's day has 23 hours, autumn's 25."""
    start, end = windows.window(day, "Europe/Madrid")
    assert (end - start) == dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-11-20T20:59:59", "2026-11-19"),  # 02:29:59 in Kolkata on the 21st
        ("2026-11-20T21:00:00", "2026-11-20"),  # 02:30:00
        ("2026-11-21T18:29:00", "2026-11-20"),  # still the 21st in Kolkata
    ],
)
def test_a_day_is_due_from_its_local_time_on_the_next_day(now: str, newest: str) -> None:
    """``at`` counts in the account's own time zone."""
    nightly = Nightly(at="02:30", timezone="Asia/Kolkata")  # type: ignore[arg-type]
    assert windows.newest_due(nightly, utc(now)).isoformat() == newest


def test_a_time_that_the_clock_skips_still_comes() -> None:
    """At 02:30 of the spring night, which does not exist in Madrid, the day falls due all the same,
    once, within the hour that is skipped.
    """
    nightly = Nightly(at="02:30", timezone="Europe/Madrid")  # type: ignore[arg-type]
    instant, seen = utc("2026-03-29T00:00:00"), []
    while instant < utc("2026-03-29T03:00:00"):
        seen.append(windows.newest_due(nightly, instant))
        instant += dt.timedelta(minutes=1)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (dt.date(2026, 3, 27), dt.date(2026, 3, 28))
    assert ZoneInfo("Europe/Madrid")


def test_an_account_that_was_never_planned_begins_with_its_catch_up_days() -> None:
    """The first plan goes back as far as the catch-up does."""
    newest = dt.date(2026, 11, 20)
    days = windows.due_days(newest, None, 3)
    assert [day.isoformat() for day in days] == ["2026-11-18", "2026-11-19", "2026-11-20"]


def test_missed_days_are_planned_from_the_last_planned_one() -> None:
    """However long nothing ran, no day is left out; nothing is due twice."""
    newest = dt.date(2026, 11, 20)
    assert len(windows.due_days(newest, dt.date(2026, 10, 20), 3)) == 31
    assert windows.due_days(newest, newest, 3) == []
