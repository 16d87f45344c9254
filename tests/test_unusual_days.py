"""A day that lists far fewer recordings than its weekday usually does: complete, with an alert."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from statistics import median
from typing import Any

import pytest

from ledger.core import states
from ledger.core.schema import days
from ledger.ledger import Ledger

from .ledgers import claim_job
from .test_ledger_days import _ask, _day, _row

OpenLedger = Callable[..., Ledger]

DAY = date(2026, 11, 20)
CAUSE = f"unusual:india:{DAY}"


def listed_before(ledger: Ledger, numbers: list[int], *, every_days: int = 7) -> None:
    """Days before ours as they stand in the ledger after their nights, or after a rebuild."""
    rows = [
        {
            **{name: getattr(_day(), name) for name in _day().__dataclass_fields__},
            "day": DAY - timedelta(days=every_days * week),
            "state": states.DAY_COMPLETE,
            "counts": {"listed": number, "archived": number, "missing": 0},
            "listings": 2,
        }
        for week, number in enumerate(numbers, 1)
    ]
    with ledger.database.engine.begin() as connection:
        connection.execute(days.insert(), rows)


def export(ledger: Ledger, listed: int, *, missing: int = 0) -> None:
    """Export the day, or look at it once more."""
    with ledger.database.engine.begin() as connection:
        connection.execute(days.update().where(days.c.day == DAY).values(state=states.DAY_DUE))
    job, _ = _ask(ledger, _day(DAY), DAY + timedelta(days=1))
    _, lease = claim_job(ledger, job.job_id)
    counts = {"listed": listed, "archived": listed - missing, "missing": missing}
    state = states.FAILED if missing else states.DONE
    error = {"type": "Incomplete", "message": "not done: missing"} if missing else None
    ledger.execution.finish(
        lease, state, result={"manifest": f"m/{job.job_id}", **counts}, error=error, reason=None
    )


def told(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """The alerts about numbers that are open, by their cause."""
    return {row["cause"]: row for row in ledger.alerts.all_open() if row["kind"] == "unusual"}


@pytest.mark.parametrize(
    ("before", "listed", "unusual"),
    [
        ([100, 110, 90, 120], 0, True),
        ([100, 110, 90, 120], 24, True),
        ([100, 110, 90, 120], 27, False),
        ([100, 110, 0, 120, 95, 0], 10, True),
        ([100, 110, 90], 0, True),
        ([100, 110], 0, False),
        ([12, 12, 12, 12], 2, True),
        ([12, 12, 12, 12], 3, False),
        ([9, 9, 9, 9], 1, False),
        ([9, 9, 9, 9], 0, True),
        ([3, 3, 4, 3], 0, True),
        ([2, 2, 2, 2], 0, False),
        ([0, 0, 0, 0, 0], 0, False),
        ([100] * 8, 400, False),
    ],
)
def test_far_fewer_recordings_than_on_the_weekday_before_are_told(
    open_ledger: OpenLedger, before: list[int], listed: int, unusual: bool
) -> None:
    """Less than a quarter of a median of ten, or none at all where there were three, and never by
    fewer than three weeks; the day itself is complete.
    """
    ledger = open_ledger()
    listed_before(ledger, before)
    export(ledger, listed)
    assert (CAUSE in told(ledger)) == unusual
    assert _row(ledger, DAY).state == states.DAY_COMPLETE
    if unusual:
        message = told(ledger)[CAUSE]["message"]
        assert f"lists {listed} recording" in message
        assert f"a median of {median(before):g}, " in message
        assert f"at least {min(before)} and at most {max(before)};" in message


def test_only_the_same_weekday_of_the_last_eight_weeks_counts(open_ledger: OpenLedger) -> None:
    """A Friday is not compared with other days of the week, nor with last winter."""
    ledger = open_ledger()
    listed_before(ledger, [100] * 6, every_days=1)
    listed_before(ledger, [100] * 12, every_days=70)
    export(ledger, 0)
    assert told(ledger) == {}


def test_a_day_is_told_once_and_is_over_with_usual_numbers(open_ledger: OpenLedger) -> None:
    """Two looks with the same numbers are one alert; a later one with usual numbers ends it."""
    ledger = open_ledger()
    listed_before(ledger, [40] * 5)
    export(ledger, 2)
    export(ledger, 2)
    assert told(ledger)[CAUSE]["repeated"] == 1
    export(ledger, 38)
    assert told(ledger) == {}


def test_what_a_person_has_explained_is_not_told_again(open_ledger: OpenLedger) -> None:
    """Closed by hand as a holiday, the later look at the day does not open it again."""
    ledger = open_ledger()
    listed_before(ledger, [40] * 5)
    export(ledger, 0)
    ledger.alerts.close_by_hand(CAUSE, by="ana", note="a holiday")
    export(ledger, 0)
    assert told(ledger) == {}


def test_an_incomplete_day_is_compared_too(open_ledger: OpenLedger) -> None:
    """Few recordings, one of them missing: both are told."""
    ledger = open_ledger()
    listed_before(ledger, [40] * 5)
    export(ledger, 2, missing=1)
    assert {row["kind"] for row in ledger.alerts.all_open()} == {"unusual", "day"}
