"""Times that a clock wrote while it was ahead: each is brought back to what it can be at most."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from ledger.core import states
from ledger.core.job import Job
from ledger.core.schema import accounts, days, jobs, obligations, waiters
from ledger.days import Day
from ledger.ledger import Ledger

from .ledger_calls import SAID_OK, begins, begun, call, its_worker_dies, sending, state
from .ledgers import QUEUE, ended, opened, pass_time, request, running

HOUR = 3_600.0


def the_clock_was_ahead(ledger: Ledger, seconds: float = HOUR) -> None:
    """Move everything that was written into the future, as a clock that was ahead leaves it."""
    for column in (
        *(jobs.c[name] for name in ("lease_until", "next_attempt_at", "hinted_at")),
        *(jobs.c[name] for name in ("created_at", "updated_at", "not_after")),
        *(waiters.c[name] for name in ("due_at", "asked_at")),
        *(obligations.c[name] for name in ("due_at", "created_at")),
        *(accounts.c[name] for name in ("renewal_until", "postponed_until", "next_request_at")),
    ):
        pass_time(ledger, -seconds, column)


def test_a_dead_sender_is_noticed_a_lease_later(ledger: Ledger) -> None:
    """Its call needs a decision, as that of any dead sender."""
    job, _ = sending(ledger)
    the_clock_was_ahead(ledger)
    its_worker_dies(ledger)
    assert ledger.lease_expiry.take_from_the_dead() == []
    assert [one.what for one in ledger.future_times.mend()] == ["the lease of job"]
    its_worker_dies(ledger)
    assert [one.state for one in ledger.lease_expiry.take_from_the_dead()] == [
        states.NEEDS_DECISION
    ]
    assert state(ledger, job) == states.NEEDS_DECISION


def test_a_dead_worker_loses_its_job_a_lease_later(ledger: Ledger) -> None:
    """Another worker continues."""
    running(ledger)
    the_clock_was_ahead(ledger, 400 * 86_400)
    ledger.future_times.mend()
    its_worker_dies(ledger)
    assert [one.state for one in ledger.lease_expiry.take_from_the_dead()] == [states.WAITING]


def test_each_round_mends_one_kind(ledger: Ledger) -> None:
    """A dozen rounds, a minute by default, mend every kind of time; no round mends two."""
    running(ledger, "runs")
    opened(ledger, "waits")
    the_clock_was_ahead(ledger)
    wrong = {one.what for one in ledger.future_times.found()}
    rounds = [{one.what for one in ledger.future_times.mend_in_turn()} for _ in range(12)]
    assert len(wrong) > 1
    assert max(map(len, rounds)) == 1
    assert set.union(*rounds) <= wrong
    assert ledger.future_times.found() == []


def test_a_holder_that_lives_keeps_its_job(ledger: Ledger) -> None:
    """A clock that is set back while it works takes nothing from it: it renews its lease, before
    or after that was cut.
    """
    job, lease = sending(ledger)
    for renews_first in (True, False):
        the_clock_was_ahead(ledger)
        if renews_first:
            ledger.leases.renew()
        ledger.future_times.mend()
        assert ledger.lease_expiry.take_from_the_dead() == []
        lease.progress()
        ledger.leases.renew()
    assert state(ledger, job) == states.SENDING
    assert ledger.calls.store_outcome(lease, SAID_OK, own_task=None).state == states.DONE


def test_what_is_as_it_can_be_stays(open_ledger: Callable[..., Ledger]) -> None:
    """Leases, waits of a day, answers and obligations with their longest waits: none is touched."""
    ledger = open_ledger()
    running(ledger, "held")
    sending(ledger, "sent")
    opened(ledger, "due")
    _, lease = running(ledger, "rests")
    ledger.execution.postpone(lease, "the provider asked to wait", seconds=86_400)
    ledger.accounts.postpone("india", 86_400, "the provider asked to wait")
    assert ledger.accounts.token_store("india").claim(0, 15) is not None
    ended(ledger, "over", states.FAILED, task_id="t1")
    for _ in range(9):
        ledger.outbox.due(limit=9)
        ledger.waiters.due(queue=QUEUE, limit=9)
        pass_time(ledger, 600, obligations.c.due_at, waiters.c.due_at)
    ledger.outbox.due(limit=9)
    ledger.waiters.due(queue=QUEUE, limit=9)
    assert ledger.future_times.found() == []
    assert ledger.future_times.mend() == []


def _pending(ledger: Ledger) -> Job:
    return opened(ledger)


def _waiting(ledger: Ledger) -> Job:
    job, lease = running(ledger)
    ledger.execution.postpone(lease, "not ready", seconds=15)
    return job


def _rested(ledger: Ledger) -> Job:
    job, lease = running(ledger)
    ledger.execution.postpone(lease, "not ready", seconds=900)
    return job


@pytest.mark.parametrize("make", [_pending, _waiting, _rested])
@pytest.mark.parametrize("ahead", [120.0, HOUR, 400 * 86_400.0])
def test_a_job_that_waits_is_due_now(
    ledger: Ledger, make: Callable[[Ledger], Job], ahead: float
) -> None:
    """It is announced and taken up at once, whether or not a hint of it is on its way."""
    job = make(ledger)
    the_clock_was_ahead(ledger, ahead)
    assert ledger.execution.claim(job.job_id) is None
    assert job.job_id in [one.name for one in ledger.future_times.mend()]
    assert [hint.job_id for hint in ledger.wakeups.due(QUEUE, room=9, queue_is_empty=False)] == [
        job.job_id
    ]
    assert ledger.execution.claim(job.job_id) is not None
    assert ledger.future_times.found() == []


def test_a_lost_hint_is_sent_again(ledger: Ledger) -> None:
    """A job that is due and was announced in the future."""
    job = opened(ledger)
    pass_time(ledger, -HOUR, jobs.c.hinted_at)
    assert ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True) == []
    ledger.future_times.mend()
    assert [hint.job_id for hint in ledger.wakeups.due(QUEUE, room=9, queue_is_empty=True)] == [
        job.job_id
    ]


def test_a_moment_that_a_caller_named_stays(ledger: Ledger) -> None:
    """A job that waits for the first time, until a day that its caller chose."""
    job = opened(ledger)
    moment = job.created_at + 200 * 86_400
    later = {"state": states.WAITING, "next_attempt_at": moment, "hinted_at": None}
    ledger.database.write(
        lambda connection: connection.execute(update(jobs).values(**later, work={"due_at": moment}))
    )
    for column in (jobs.c.created_at, jobs.c.updated_at):
        pass_time(ledger, -HOUR, column)
    before = ledger.jobs.job(job.job_id)
    assert ledger.future_times.mend() == []
    assert ledger.jobs.job(job.job_id) == before


def test_a_job_that_waits_for_the_first_time_is_due_now(ledger: Ledger) -> None:
    """The collection of a recording, opened with its start, looks for the first time after some
    seconds, not after the hour that the clock was ahead.
    """
    beside = request("c", kind="recording.collect", waits_seconds=15, reason="looks soon")
    ledger.opening.open(request(companion=beside), by="test")
    the_clock_was_ahead(ledger)
    ledger.future_times.mend()
    assert ledger.execution.claim(beside.job_id) is not None


def test_no_job_waits_beyond_its_not_after(ledger: Ledger) -> None:
    """Its caller hears of its end then at the latest."""
    job, lease = begun(ledger, lifetime_seconds=60.0)
    ledger.execution.postpone(lease, "the provider could not be reached", seconds=HOUR)
    ledger.future_times.mend()
    after = ledger.jobs.job(job.job_id)
    assert after.next_attempt_at == after.not_after
    assert ledger.future_times.found() == []


def test_who_asked_is_answered_now(ledger: Ledger) -> None:
    """So are obligations: receipts, notifications, alerts and their webhooks."""
    ended(ledger, "over", states.FAILED, task_id="t1")
    the_clock_was_ahead(ledger)
    assert ledger.waiters.due(queue=QUEUE, limit=9) == []
    assert ledger.outbox.due(limit=9) == []
    assert {one.what for one in ledger.future_times.mend()} == {
        "the answer to task",
        "the outbox entry of job",
    }
    assert [hint.task_id for hint in ledger.waiters.due(queue=QUEUE, limit=9)] == ["t1"]
    assert [one.kind for one in ledger.outbox.due(limit=9)] == ["alert"]


def test_an_accounts_rest_and_renewal_end(ledger: Ledger) -> None:
    """A rest is over; a worker that renews a token keeps the right for its longest time, and no
    longer.
    """
    shelf = ledger.accounts.token_store("india")
    assert shelf.claim(0, 15) is not None
    ledger.accounts.postpone("india", 60, "the provider asked to wait")
    the_clock_was_ahead(ledger, 3 * 86_400)
    ledger.future_times.mend()
    assert ledger.accounts.pause("india") is None
    assert shelf.claim(0, 15) is None
    pass_time(ledger, 301, accounts.c.renewal_until)
    assert shelf.claim(0, 15) is not None


@pytest.mark.parametrize("ahead", [90.0, HOUR])
def test_a_turn_in_the_future_is_taken_now(ledger: Ledger, ahead: float) -> None:
    """Calls that are spaced 20 seconds apart do not wait for it; the next one is spaced again."""
    ledger.accounts.turn("india", 20, within_seconds=30)
    pass_time(ledger, -ahead, accounts.c.next_request_at)
    assert ledger.accounts.turn("india", 20, within_seconds=30) == (True, pytest.approx(0, abs=1))
    taken, wait = ledger.accounts.turn("india", 20, within_seconds=30)
    assert taken
    assert 0 < wait <= 20


def test_turns_that_were_taken_stay_spaced(ledger: Ledger) -> None:
    """Six calls a second apart, of which the last is five seconds away; the seventh is too far."""
    waits = [ledger.accounts.turn("india", 1, within_seconds=5) for _ in range(9)]
    assert [taken for taken, _ in waits[:5]] == [True] * 5
    assert waits[-1][0] is False
    assert waits[-1][1] > 4


NIGHT = date(2026, 11, 20)


def _row(day: date, row_state: str = states.DAY_DUE) -> Day:
    return Day("india", day, 0, 1, {}, 0, "UTC", row_state, 0, None, None, None)


def _plan(ledger: Ledger, wanted: list[Day], night: date = NIGHT) -> list[str]:
    opened_now = ledger.days.plan(
        "india",
        wanted,
        night=night,
        catchup_days=3,
        request_for=lambda row: request(
            f"day:{row.day}#{row.generation}",
            kind="export.run",
            parameters={"day": row.day.isoformat()},
        ),
        by="test",
    )
    return [str(job.parameters["day"]) for job, _ in opened_now]


@pytest.mark.parametrize("row_state", [states.DAY_DUE, states.DAY_INCOMPLETE, states.DAY_GAVE_UP])
def test_days_that_were_planned_in_the_future_are_caught_up(ledger: Ledger, row_state: str) -> None:
    """The clock was ten days ahead: no night tries a day that has not begun, and each is exported
    in its turn, also one that was given up as too old.
    """
    future = [_row(NIGHT + timedelta(days=n), row_state) for n in range(-1, 9)]

    def work(connection: Connection) -> None:
        for row in future:
            values = {name: getattr(row, name) for name in Day.__dataclass_fields__}
            planned_on = NIGHT + timedelta(days=10)
            connection.execute(insert(days).values(**values, listings=0, planned_on=planned_on))

    ledger.database.write(work)
    assert _plan(ledger, []) == ["2026-11-19", "2026-11-20"]
    assert _plan(ledger, []) == [], "it was opened twice in one night"
    assert _plan(ledger, [], NIGHT + timedelta(days=1)) == ["2026-11-21"]


def test_a_day_that_was_planned_a_night_early_is_not_opened_twice(ledger: Ledger) -> None:
    """Two clocks on the two sides of midnight do not open it in turns."""
    assert _plan(ledger, [_row(date(2026, 11, 19))], NIGHT + timedelta(days=1)) == ["2026-11-19"]
    ledger.database.write(
        lambda connection: connection.execute(update(days).values(state=states.DAY_INCOMPLETE))
    )
    assert _plan(ledger, []) == []


def test_two_sweepers_mend_once_and_alike(open_ledger: Callable[..., Ledger]) -> None:
    """The second finds nothing left to do."""
    here, there = open_ledger(), open_ledger()
    job, _ = running(here)
    the_clock_was_ahead(here)
    here.future_times.mend()
    cut = _lease(here, job.job_id)
    assert there.future_times.mend() == []
    assert _lease(there, job.job_id) == cut
    assert begins(there, call())[1]


def _lease(ledger: Ledger, job_id: str) -> Any:
    wanted = select(jobs.c.lease_until).where(jobs.c.job_id == job_id)
    return ledger.database.read(lambda connection: connection.execute(wanted).scalar_one())
