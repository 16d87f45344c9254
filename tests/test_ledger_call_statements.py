"""A call's usual steps in one statement of PostgreSQL, or few of SQLite: all of a step, or nothing
of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from ledger import call_statements
from ledger.alerts import JOB, Alert
from ledger.call_outcomes import Outcome
from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.opening import Request, add_waiter
from ledger.core.schema import jobs, waiters
from ledger.core.transitions import find_locked
from ledger.daily_quota import Cap
from ledger.errors import LeaseLost
from ledger.ledger import Ledger

from .ledger_calls import (
    CAP,
    NO_ANSWER,
    SAID_KO,
    SAID_OK,
    a_day_goes_by,
    another_holds_it,
    begun,
    call,
    everything,
    its_worker_dies,
    sending,
    state,
)
from .ledgers import NOTIFY, answer_lost, request, steps
from .waiting import eventually

on_postgres = pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)

#: What a step gives that was not done in one statement.
STEP_BY_STEP = "step by step"


@dataclass(frozen=True)
class Yesterdays(Cap):
    """The cap of a worker whose clock is a day behind."""

    def day(self, seconds: float) -> date:
        return super().day(seconds) - timedelta(days=1)


def _at_once(ledger: Ledger, act: Callable[..., Any]) -> Any:
    if ledger.database.is_sqlite:
        return ledger.database.write(lambda one: act(one) or STEP_BY_STEP)
    return ledger.database.write(lambda _: STEP_BY_STEP, at_once=act)


def _begin(ledger: Ledger, asked: Request, notify: dict[str, str] | None = None) -> Any:
    given = {"token": "token", "seconds": 30.0, "by": "test", "worker": "w", "notify": notify}
    return _at_once(ledger, lambda one: call_statements.begin(one, asked, **given))


def _send(ledger: Ledger, lease: Lease, cap: Cap = CAP) -> Any:
    return _at_once(ledger, lambda one: call_statements.send(one, lease, cap, worker="w"))


def _answered(
    ledger: Ledger, lease: Lease, outcome: Outcome = SAID_OK, own_task: str | None = None
) -> Any:
    return _at_once(
        ledger,
        lambda one: call_statements.answered(one, lease, outcome, own_task=own_task, worker="w"),
    )


def _set(ledger: Ledger, job: Job, **values: Any) -> None:
    changed = update(jobs).where(jobs.c.job_id == job.job_id).values(**values)
    ledger.database.write(lambda connection: connection.execute(changed))


def test_the_usual_case_is_done_at_once(ledger: Ledger) -> None:
    """A new call, its sending and its success, with a caller that wants to be notified as well."""
    asked = call(task_id="t1")
    job = _begin(ledger, asked)
    assert (job.state, job.attempts) == (states.RUNNING, 1)
    assert _begin(ledger, call("r2"), NOTIFY) == STEP_BY_STEP
    assert _begin(ledger, call("r2", task_id="t2"), NOTIFY).state == states.RUNNING
    lease = Lease(job.job_id, "token", 30, 0)
    assert _send(ledger, lease) is True
    done = _answered(ledger, lease, own_task="t1")
    assert (done.state, done.result) == (states.DONE, SAID_OK.result)
    assert ledger.jobs.job(job.job_id) == done


UNUSUAL_BEGINNINGS: dict[str, Callable[[], Request]] = {
    "no task waits": call,
    "known already": lambda: call("known", task_id="t1"),
    "a task that waits for another job": lambda: call(task_id="used"),
    "later": lambda: call(task_id="t1", due_at=4e9),
    "with a companion": lambda: call(task_id="t1", companion=request("other")),
    "without a cap": lambda: call(task_id="t1", details=None),
    "nothing is allowed": lambda: call(task_id="t1", details=replace(CAP, limit=0)),
    "the cap is reached": lambda: call(task_id="t1", details=replace(CAP, limit=1)),
    "another day": lambda: call(task_id="t1", details=Yesterdays(CAP.limit, CAP.timezone)),
}


@pytest.mark.parametrize("unusual", UNUSUAL_BEGINNINGS)
def test_an_unusual_beginning_writes_nothing(ledger: Ledger, unusual: str) -> None:
    """It is left to the separate steps, which refuse it, join it or let it wait."""
    begun(ledger, "known", task_id="used")
    before = everything(ledger)
    assert _begin(ledger, UNUSUAL_BEGINNINGS[unusual]()) == STEP_BY_STEP
    assert everything(ledger) == before


def test_nothing_begins_in_quarantine(ledger: Ledger) -> None:
    """A call that a restored ledger does not know is not placed."""
    ledger.identity.quarantine()
    before = everything(ledger)
    assert _begin(ledger, call(task_id="t1")) == STEP_BY_STEP
    assert everything(ledger) == before


def test_a_beginning_asks_for_the_pause_of_its_account(ledger: Ledger) -> None:
    """The holder of a call knows that its account was not paused when the call was begun; during a
    pause the separate steps begin it, and its holder has to ask.
    """
    ledger.accounts.postpone("peru", 600, "the provider of another account asked to wait")
    _, lease = ledger.execution.begin(call("free", task_id="t1"), by="test")
    assert lease is not None
    assert lease.found_no_pause
    ledger.accounts.postpone("legal", 600, "the provider asked to wait")
    before = everything(ledger)
    assert _begin(ledger, call(task_id="t2")) == STEP_BY_STEP
    assert everything(ledger) == before
    _, lease = ledger.execution.begin(call(task_id="t2"), by="test")
    assert lease is not None
    assert not lease.found_no_pause
    ledger.accounts.resume("legal")
    _, lease = ledger.execution.begin(call("known to no task"), by="test")
    assert lease is not None
    assert lease.found_no_pause


UNUSUAL_SENDINGS: dict[str, Callable[[Ledger, Job], Any]] = {
    "late": lambda ledger, job: _set(ledger, job, not_after=1.0),
    "cancelled": lambda ledger, job: ledger.operator_actions.cancel(job.job_id, by="me"),
    "run out": lambda ledger, _: its_worker_dies(ledger),
    "held by another": lambda ledger, job: another_holds_it(ledger, job.job_id),
    "sent already": lambda ledger, job: _set(ledger, job, state=states.SENDING),
    "another day": lambda ledger, _: a_day_goes_by(ledger),
    "above a lower cap": lambda ledger, _: begun(ledger, "r2"),
}


@pytest.mark.parametrize("unusual", UNUSUAL_SENDINGS)
def test_an_unusual_sending_writes_nothing(ledger: Ledger, unusual: str) -> None:
    """It is left to the separate steps, which say why nothing may leave."""
    job, lease = begun(ledger)
    UNUSUAL_SENDINGS[unusual](ledger, job)
    before = everything(ledger)
    assert _send(ledger, lease, replace(CAP, limit=1)) == STEP_BY_STEP
    assert everything(ledger) == before


UNUSUAL_ANSWERS: dict[str, Callable[..., Any]] = {
    "refused": lambda _ledger, _job: SAID_KO,
    "unknown": lambda _ledger, _job: NO_ANSWER,
    "a dead sender": lambda ledger, job: _set(ledger, job, state=states.NEEDS_DECISION),
    "never sent": lambda ledger, job: _set(ledger, job, state=states.RUNNING),
    "notified": lambda ledger, job: ledger.opening.join(job, "t2", NOTIFY) and None,
    "another job's task": lambda ledger, _: begun(ledger, "r2", task_id="own") and None,
    "an open alert": lambda ledger, job: (
        ledger.alerts.open(Alert(f"{JOB}:{job.job_id}", JOB, "legal", "failed")) and None
    ),
    "refused credentials": lambda ledger, _: (
        ledger.alerts.open(Alert("credentials:legal", "credentials", "legal", "x")) and None
    ),
}


@pytest.mark.parametrize("unusual", UNUSUAL_ANSWERS)
def test_an_unusual_answer_writes_nothing(ledger: Ledger, unusual: str) -> None:
    """It is left to the separate steps, which notify, close alerts or ask for a decision."""
    job, lease = sending(ledger)
    outcome = UNUSUAL_ANSWERS[unusual](ledger, job)
    before = everything(ledger)
    assert _answered(ledger, lease, outcome or SAID_OK, own_task="own") == STEP_BY_STEP
    assert everything(ledger) == before


@on_postgres
def test_the_last_call_of_a_day_taken_meanwhile(ledger: Ledger) -> None:
    """A call that waits for the day's counter, and finds it full, writes nothing at all."""
    begun(ledger)
    asked = call("r2", task_id="t2", details=replace(CAP, limit=2))
    found: list[Any] = []
    taken = text("UPDATE call_days SET calls = 2")
    waits = threading.Thread(target=lambda: found.append(_begin(ledger, asked)))
    with ledger.database.engine.begin() as connection:
        connection.execute(taken)
        waits.start()
        _blocked(ledger)
    waits.join()
    assert found == [STEP_BY_STEP]
    assert [job.request_id for job in ledger.jobs.jobs()] == ["r1"]


@on_postgres
def test_a_task_that_joins_while_the_answer_is_stored(ledger: Ledger) -> None:
    """It is answered like every other, though its row was not there when the answer came."""
    job, lease = sending(ledger, task_id="t1")
    answers = threading.Thread(
        target=lambda: ledger.calls.store_outcome(lease, SAID_OK, own_task="t1")
    )
    with ledger.database.engine.begin() as connection:
        held = find_locked(connection, job.job_id)
        assert held is not None
        answers.start()
        _blocked(ledger)
        add_waiter(connection, held, "t2", None)
    answers.join()
    assert state(ledger, job) == states.DONE
    due = select(waiters.c.due_at).where(waiters.c.task_id == "t2")
    assert ledger.database.read(lambda one: one.execute(due).scalar_one()) is not None


def _blocked(ledger: Ledger) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    eventually(lambda: ledger.database.read(lambda one: one.execute(waiting).scalar_one()) > 0)


@on_postgres
def test_a_second_sending_is_never_permitted(ledger: Ledger) -> None:
    """Not even one whose own answer is lost: what it finds is the sending of the first."""
    _, lease = sending(ledger)
    with answer_lost(ledger), pytest.raises(LeaseLost):
        ledger.calls.send(lease, CAP)
    assert lease.sending_noted


@on_postgres
def test_a_sending_whose_connection_is_gone(open_ledger: Callable[..., Ledger]) -> None:
    """The steps that follow find that nothing was written, write it, and permit it once."""
    ledger, other = open_ledger(), open_ledger()
    job, lease = begun(ledger)
    sessions = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert other.database.read(lambda one: one.execute(sessions).scalars().all())
    ledger.calls.send(lease, CAP)
    assert steps(ledger, job.job_id)[2:] == [("running", "sending")]
    with pytest.raises(LeaseLost):
        ledger.calls.send(lease, CAP)
