"""A ledger that is slow, locked or frozen while a call is about to leave: the call is placed later
under its own request id, once, and no caller is asked to send a new one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest

from ledger.core import states
from ledger.core.schema import jobs

from .certified_calls import CallHouse, call_house
from .deployment import Deployment
from .gates import Gate, gate
from .ledgers import pass_time, steps
from .servers import Postgres
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

#: A commit that takes longer allows no byte to leave (ledger/calls.py).
TOO_LONG_SECONDS = 2.5
#: Far longer than a busy machine takes from one step of a test to the next; where a lease has to
#: end, its time is made to pass.
LEASE_SECONDS = 60
on_postgres = pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)


@contextmanager
def at_the_gate(
    deploy: Deploy, simulators: Simulators, ledger_url: str | None = None
) -> Iterator[tuple[CallHouse, Gate]]:
    """A house whose worker holds the call ``r1``, for which no connection stands yet. The lease is
    renewed a third of its time after the worker's start: a renewal that the ledger does not confirm
    would hold the row, and the sender would never come to its own commit.
    """
    with gate(simulators.url) as held:
        calling = call_house(
            deploy,
            simulators,
            ledger_url=ledger_url,
            timeout_seconds=30,
            base_url=f"{held.url}/gsmblockchain",
            settings={"LEASE_SECONDS": str(LEASE_SECONDS)},
        )
        calling.house.worker()
        with calling.house.producer() as app:
            calling.ask(app, "r1", task_id="the-task")
            calling.in_state("r1", states.RUNNING)
            yield calling, held


def told(calling: CallHouse) -> str:
    """Return the state that the caller gets in the end."""
    with calling.house.producer() as app:
        answer = app.AsyncResult("the-task").get(timeout=60)
    return str(answer["state"])


def path(calling: CallHouse) -> list[tuple[str | None, str]]:
    """Every change of the call's state."""
    job = calling.job("r1")
    assert job is not None
    return steps(calling.house.ledger, job.job_id)


def test_another_program_locks_the_ledger(deploy: Deploy, simulators: Simulators) -> None:
    """SQLite, locked from before the first byte until the worker has given up and tried to say so:
    the call waits, is placed once, and its caller hears of that alone.
    """
    with at_the_gate(deploy, simulators) as (calling, held):
        lock = sqlite3.connect(calling.house.folder / "ledger.sqlite3", isolation_level=None)
        with contextlib.closing(lock):
            lock.execute("BEGIN IMMEDIATE")
            held.open()
            worker = calling.house.processes[0]
            eventually(lambda: "the call will be retried" in worker.log())
            assert calling.placed() == 0
            lock.execute("ROLLBACK")
        assert told(calling) == "done"
        assert ("running", "waiting") in path(calling)
    assert calling.placed() == 1


@contextmanager
def unconfirmed(postgres: Postgres) -> Iterator[None]:
    """Within, every commit of the ledgers is made and waits for a second server to confirm it."""
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", "")) as connection:
        connection.autocommit = True
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")


def until_taken_for_dead(calling: CallHouse) -> None:
    """Let the lease of the call that is being sent end, and wait for the decision that it needs."""
    calling.in_state("r1", states.SENDING)
    pass_time(calling.house.ledger, LEASE_SECONDS, jobs.c.lease_until)
    calling.in_state("r1", states.NEEDS_DECISION)


def waits_for_its_commit(ledger_url: str) -> bool:
    """Whether a commit that notes a call as *sending* has waited for too long. Of what workers
    commit meanwhile, only that one writes to the table of calls.
    """
    with psycopg.connect(ledger_url.replace("+psycopg", "")) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid) "
            "WHERE wait_event = 'SyncRep' AND relation = 'calls'::regclass "
            "AND mode = 'RowExclusiveLock' AND now() - xact_start > make_interval(secs => %s)",
            [TOO_LONG_SECONDS],
        ).fetchone()
    assert row is not None
    return bool(row[0])


@on_postgres
def test_a_permission_that_is_confirmed_too_late(
    deploy: Deploy, simulators: Simulators, postgres: Postgres, ledger_url: str
) -> None:
    """Its commit was made and took too long: the sender takes the call back, and it is placed."""
    with at_the_gate(deploy, simulators, ledger_url) as (calling, held):
        with unconfirmed(postgres):
            held.open()
            eventually(lambda: waits_for_its_commit(ledger_url))
        assert told(calling) == "done"
        assert ("sending", "waiting") in path(calling)
        known = calling.house.ledger.calls.of_job(calling.job("r1").job_id)  # type: ignore[union-attr]
        assert known is not None
        assert known["outcome"] == "placed"
    assert calling.placed() == 1


@on_postgres
def test_a_sender_that_dies_before_it_can_take_its_call_back(
    deploy: Deploy, simulators: Simulators, postgres: Postgres, ledger_url: str
) -> None:
    """Nobody else knows that nothing left: the call needs a decision, and none places it."""
    with at_the_gate(deploy, simulators, ledger_url) as (calling, held):
        with unconfirmed(postgres):
            held.open()
            eventually(lambda: waits_for_its_commit(ledger_url))
            calling.house.processes[0].kill()
        calling.house.worker("second")
        until_taken_for_dead(calling)
        assert ("sending", "waiting") not in path(calling)
    assert calling.placed() == 0


@on_postgres
def test_a_sender_that_was_taken_for_dead_before_it_could(
    deploy: Deploy, simulators: Simulators, postgres: Postgres, ledger_url: str
) -> None:
    """It sleeps until the call needs a decision, and wakes up knowing that nothing left: the call
    ends as not sent, and nothing tries it again, since its caller was asked for a decision.
    """
    with at_the_gate(deploy, simulators, ledger_url) as (calling, held):
        first = calling.house.processes[0]
        with unconfirmed(postgres):
            held.open()
            eventually(lambda: waits_for_its_commit(ledger_url))
            first.signal_group(signal.SIGSTOP)
        calling.house.worker("second")
        until_taken_for_dead(calling)
        first.signal_group(signal.SIGCONT)
        job = calling.in_state("r1", states.FAILED, within=60)
        assert str(job.reason).startswith("not done: its worker stalled")
        assert path(calling)[-2:] == [("sending", "needs_decision"), ("needs_decision", "failed")]
    assert calling.placed() == 0


@on_postgres
def test_the_database_is_frozen(
    deploy: Deploy, simulators: Simulators, postgres: Postgres, ledger_url: str
) -> None:
    """Every process of the server stands still for some seconds while a call is to leave: it is
    placed afterwards, once.
    """
    with at_the_gate(deploy, simulators, ledger_url) as (calling, held):
        server = psutil.Process(postgres.pid)
        frozen = [server, *server.children(recursive=True)]
        for process in frozen:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            held.open()
            eventually(lambda: held.passed >= 1)
            time.sleep(TOO_LONG_SECONDS)  # the fault itself lasts so long
        finally:
            for process in frozen:
                os.kill(process.pid, signal.SIGCONT)
        assert told(calling) == "done"
    assert calling.placed() == 1


def test_a_ledger_that_stays_away_until_not_after(deploy: Deploy, simulators: Simulators) -> None:
    """Then it is too late: the call ends as not sent, and says why, and none was placed."""
    with gate(simulators.url) as held:
        calling = call_house(
            deploy, simulators, timeout_seconds=30, base_url=f"{held.url}/gsmblockchain"
        )
        calling.house.worker()
        with calling.house.producer() as app:
            # A locked ledger keeps the worker for about ten seconds until it says that it will try
            # again; after not_after it would not.
            later = calling.house.ledger.database.time() + 25
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(later))
            asked = calling.ask(app, "r1", not_after=until)
            calling.in_state("r1", states.RUNNING)
            lock = sqlite3.connect(calling.house.folder / "ledger.sqlite3", isolation_level=None)
            with contextlib.closing(lock):
                lock.execute("BEGIN IMMEDIATE")
                held.open()
                worker = calling.house.processes[0]
                eventually(lambda: "the call will be retried" in worker.log())
                time.sleep(max(0.0, later + 1 - time.time()))  # not_after itself has to pass
                lock.execute("ROLLBACK")
            with pytest.raises(Exception, match=r"^not done: not_after ha[sd] passed") as expired:
                asked.get(timeout=60)
            assert type(expired.value).__name__ == "Expired"
    assert calling.placed() == 0
