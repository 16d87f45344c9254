"""Since when a day has been incomplete: the moment that somebody noticed, not the day's own age."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from ledger.alert_rules import damaged_days, day_cause, missed_days
from ledger.alerts import DAY, Alert
from ledger.core import states
from ledger.core.schema import alerts, days, jobs
from ledger.ledger import Ledger

from .ledgers import ended, pass_time
from .test_ledger_stats import day, figures


def has(ledger: Ledger, *rows: dict[str, object]) -> None:
    """These days are in the ledger."""
    ledger.database.write(lambda connection: connection.execute(insert(days), list(rows)))


def since(ledger: Ledger) -> dict[str, float]:
    """For how many seconds each account has had an incomplete day."""
    now = ledger.database.time()
    return {row.account: now - row.since for row in figures(ledger).lacking}


def failed(ledger: Ledger, number: int) -> None:
    """The export of a day of November 2026 failed, and people were told."""
    cause = day_cause("india", f"2026-11-{number:02}")
    ledger.alerts.open(Alert(cause, DAY, "india", "is not complete"))


def test_a_day_of_last_week_that_failed_just_now(ledger: Ledger) -> None:
    """It has been incomplete for seconds. Later failures and a person who closes the alert change
    nothing; once it is complete, the account has none.
    """
    has(ledger, day("india", 6, states.DAY_INCOMPLETE), day("branch", 6, states.DAY_COMPLETE))
    failed(ledger, 6)
    assert since(ledger) == {"india": pytest.approx(0, abs=60)}
    pass_time(ledger, 5_000, alerts.c.opened_at)
    failed(ledger, 6)
    assert since(ledger)["india"] == pytest.approx(5_000, abs=60)
    ledger.alerts.close_by_hand("day:india:2026-11-06", by="ana", note="known")
    assert since(ledger)["india"] == pytest.approx(5_000, abs=60)
    ledger.database.write(
        lambda connection: connection.execute(update(days).values(state=states.DAY_COMPLETE))
    )
    assert since(ledger) == {}


def test_a_day_that_was_complete_and_failed_anew(ledger: Ledger) -> None:
    """An alert that ended by itself tells nothing of what came after it."""
    has(ledger, day("india", 6, states.DAY_DAMAGED))
    failed(ledger, 6)
    ledger.alerts.close(day_cause("india", "2026-11-06"))
    pass_time(ledger, 90_000, alerts.c.opened_at, alerts.c.closed_at)
    ledger.alerts.open(damaged_days("india", "2026-11-06", "2026-11-09", "a.mp3"))
    assert since(ledger)["india"] == pytest.approx(0, abs=60)


def test_days_that_no_night_catches_up_on(ledger: Ledger) -> None:
    """They share an alert, and have been incomplete since that was opened."""
    has(ledger, *[day("india", number, states.DAY_GAVE_UP) for number in (1, 2, 3)])
    ledger.alerts.open(missed_days("india", "2026-11-01", "2026-11-03"))
    pass_time(ledger, 7_000, alerts.c.opened_at)
    assert since(ledger)["india"] == pytest.approx(7_000, abs=60)


def test_the_oldest_of_an_account_counts(ledger: Ledger) -> None:
    """Of several incomplete days the one that has been so for longest; one that is tried again
    counts as well, one that was never tried or is only looked at again does not.
    """
    has(
        ledger,
        day("india", 5, states.DAY_RUNNING, generation=2),
        day("india", 6, states.DAY_INCOMPLETE),
        day("india", 7, states.DAY_DUE),
        day("india", 8, states.DAY_RUNNING, generation=2, completed_by="job"),
    )
    failed(ledger, 5)
    pass_time(ledger, 9_000, alerts.c.opened_at)
    failed(ledger, 6)
    assert since(ledger)["india"] == pytest.approx(9_000, abs=60)


def test_without_an_alert_the_last_export_tells(ledger: Ledger) -> None:
    """A ledger that was rebuilt has the jobs of its days, and no alerts."""
    job = ended(ledger, "day:2026-11-06#1", states.FAILED, kind="export.create")
    ledger.database.write(lambda connection: connection.execute(alerts.delete()))
    pass_time(ledger, 3_000, jobs.c.updated_at)
    has(ledger, day("india", 6, states.DAY_INCOMPLETE, job_id=job.job_id))
    assert since(ledger)["india"] == pytest.approx(3_000, abs=60)
