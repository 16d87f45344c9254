"""The ledger when its database is away, slow, full or locked, and when processes are killed."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, func, select, text
from sqlalchemy.exc import IntegrityError

from ledger.alerts import Alert
from ledger.core import states
from ledger.core.opening import insert_job
from ledger.core.schema import audit, jobs, waiters
from ledger.errors import LeaseLost, LedgerAway, Unsuitable
from ledger.ledger import Ledger

from . import forked
from .ledgers import (
    NOTIFY,
    QUEUE,
    answer_lost,
    claim_job,
    opened,
    pass_time,
    request,
    running,
    steps,
)
from .servers import Postgres
from .waiting import eventually, in_time

OpenLedger = Callable[..., Ledger]

on_postgres = pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


def _count(ledger: Ledger, table: Any) -> int:
    return ledger.database.read(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )


def test_an_opening_whose_answer_was_lost(ledger: Ledger) -> None:
    """Asked again by itself, it finds its own job: one row, one history, one waiter, and a first
    hint that a sweeper sends when nobody else did.
    """
    with answer_lost(ledger):
        job, number = ledger.opening.open(request(task_id="t1"), by="test", notify=NOTIFY)
    assert number is None
    assert steps(ledger, job.job_id) == [(None, "pending")]
    assert (_count(ledger, jobs), _count(ledger, waiters)) == (1, 1)
    pass_time(ledger, 31, jobs.c.hinted_at)
    assert len(ledger.wakeups.due(QUEUE, room=5, queue_is_empty=True)) == 1


def test_a_claim_whose_answer_was_lost(ledger: Ledger) -> None:
    """The worker recognises its own token and goes on; no worker is counted as dead."""
    job = opened(ledger)
    with answer_lost(ledger):
        claimed = ledger.execution.claim(job.job_id, 1)
    assert claimed is not None
    held, lease = claimed
    assert (held.state, held.attempts) == (states.RUNNING, 1)
    assert ledger.execution.claim(job.job_id) is None
    assert ledger.execution.finish(lease, states.DONE).takeovers == 0


@pytest.mark.parametrize("state", [states.DONE, states.FAILED])
def test_an_end_whose_answer_was_lost(ledger: Ledger, state: str) -> None:
    """It recognises its own end: the job, its history and what it owes are there once."""
    _, lease = running(ledger, task_id="t1")
    with answer_lost(ledger):
        job = ledger.execution.finish(
            lease, state, result={"n": 1}, obligations=[("chain", {"path": "a"})]
        )
    assert (job.state, job.result) == (state, {"n": 1})
    assert steps(ledger, job.job_id)[1:] == [("pending", "running"), ("running", state)]
    told = ["alert"] if state == states.FAILED else []
    assert [one.kind for one in ledger.outbox.due(limit=9)] == ["chain", *told]


def test_a_wait_whose_answer_was_lost(ledger: Ledger) -> None:
    """The job waits, once."""
    job, lease = running(ledger)
    with answer_lost(ledger):
        ledger.execution.note(lease, {"a": 1})
    with answer_lost(ledger):
        ledger.execution.postpone(lease, "not ready", seconds=60)
    assert steps(ledger, job.job_id)[2:] == [("running", "waiting")]
    assert ledger.jobs.job(job.job_id).work == {"a": 1}


def test_parts_whose_answer_was_lost(ledger: Ledger) -> None:
    """Each part is opened once, and the export waits for as many as there are."""
    parent, lease = running(ledger, "run", kind="export.run")
    parts = [request(f"p{n}", parent_id=parent.job_id) for n in range(3)]
    with answer_lost(ledger):
        ledger.execution.await_parts(lease, parts, work={}, queue=QUEUE)
    assert ledger.jobs.job(parent.job_id).open_parts == 3
    assert len(ledger.jobs.parts(parent.job_id)) == 3


def test_the_last_part_whose_answer_was_lost(ledger: Ledger) -> None:
    """It is counted once."""
    parent, lease = running(ledger, "run", kind="export.run")
    parts = [request(f"p{n}", parent_id=parent.job_id) for n in range(2)]
    started = ledger.execution.await_parts(lease, parts, work={}, queue=QUEUE)
    _, part = claim_job(ledger, started[0][0].job_id)
    with answer_lost(ledger):
        ledger.execution.finish(part, states.DONE)
    assert ledger.jobs.job(parent.job_id).open_parts == 1


def test_a_takeover_whose_answer_was_lost(ledger: Ledger) -> None:
    """One dead worker is counted as one."""
    job, _ = running(ledger)
    pass_time(ledger, 31, jobs.c.lease_until)
    with answer_lost(ledger):
        ledger.lease_expiry.take_from_the_dead()
    assert ledger.jobs.job(job.job_id).takeovers == 1


def test_decisions_whose_answers_were_lost(ledger: Ledger) -> None:
    """Cancelled once; done again once."""
    job = opened(ledger)
    with answer_lost(ledger):
        assert ledger.operator_actions.cancel(job.job_id, by="ana").state == states.CANCELLED
    assert steps(ledger, job.job_id) == [(None, "pending"), ("pending", "cancelled")]
    with answer_lost(ledger):
        again, _ = ledger.operator_actions.again(job.job_id, by="ana", note="x")
    assert again.request_id == "r1#2"
    assert _count(ledger, jobs) == 2


def test_a_renewed_token_whose_answers_were_lost(ledger: Ledger) -> None:
    """The worker that renews knows that it does, and that its token was stored: a provider's
    single-use refresh token is spent by then.
    """
    shelf = ledger.accounts.token_store("india")
    with answer_lost(ledger):
        claim = shelf.claim(0, 30)
    assert claim is not None
    with answer_lost(ledger):
        assert shelf.put(claim, b"token")
    stored = shelf.read()
    assert stored is not None
    assert stored.version == 1


def test_an_alert_whose_answer_was_lost(ledger: Ledger) -> None:
    """It is owed, once; so is the word that it is over."""
    refused = Alert("credentials:india", "credentials", "india", "m")
    with answer_lost(ledger):
        ledger.alerts.open(refused)
    assert len(ledger.outbox.due(limit=9)) == 1
    with answer_lost(ledger):
        ledger.alerts.close(refused.cause)
    assert len(ledger.outbox.due(limit=9)) == 1


@contextmanager
def _locked(url: str) -> Iterator[None]:
    """Within, another program writes: no writer of ours gets at the table of jobs."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        postgres = connection.dialect.name == "postgresql"
        connection.execute(text("BEGIN" if postgres else "BEGIN IMMEDIATE"))
        if postgres:
            connection.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        yield
        connection.execute(text("ROLLBACK"))
    engine.dispose()


def test_a_lock_that_passes_is_waited_for(ledger: Ledger, ledger_url: str) -> None:
    """Another program that writes for a while delays an opening and fails none; readers go on."""
    job = opened(ledger)
    answers: list[Any] = []
    late = threading.Thread(target=lambda: answers.append(opened(ledger, "late")))
    with _locked(ledger_url):
        late.start()
        assert ledger.jobs.job(job.job_id) == job
        late.join(1)
        assert late.is_alive(), "it did not wait"
    late.join(30)
    assert [one.request_id for one in answers] == ["late"]


def test_a_lock_that_stays_is_said(open_ledger: OpenLedger, ledger_url: str) -> None:
    """After its patience the ledger says that it does not answer, or, on a machine that stood
    still, that the lease ran out meanwhile; nothing has changed. Without a lease it would ask for
    five seconds. What disturbs the machine does not count: one of a few does it in time.
    """
    ledger = open_ledger(lease_seconds=3)
    took: list[float] = []
    away = False
    while not took or (not (away and took[-1] < 4.5) and len(took) < 5):
        job, lease = running(ledger, f"r{len(took)}")
        before, history = ledger.jobs.job(job.job_id), ledger.jobs.history(job.job_id)
        with _locked(ledger_url):
            with suppress(LeaseLost):
                lease.confirm(time.monotonic())
            begun = time.monotonic()
            with pytest.raises((LedgerAway, LeaseLost), match=r"does not answer|was lost") as said:
                ledger.execution.finish(lease, states.DONE)
            took.append(time.monotonic() - begun)
            away = isinstance(said.value, LedgerAway)
        assert ledger.jobs.job(job.job_id) == before
        assert ledger.jobs.history(job.job_id) == history
    assert away, "it never said that the ledger does not answer"
    assert took[-1] < 4.5, "it went on asking when its lease had run out"


@on_sqlite
def test_a_full_disk_changes_nothing(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """No room for another page: what was accepted stays readable, what could not be written is
    refused whole, no parameter is told to a log, and with room again everything goes on.
    """
    job, lease = running(ledger)
    before = ledger.jobs.history(job.job_id)

    def set_pages(pages: int) -> None:
        ledger.database.close()
        event.listen(
            ledger.database.engine,
            "connect",
            lambda connection, _: connection.execute(f"PRAGMA max_page_count = {pages}"),
        )

    canary = "canary-5550100" * 10_000
    set_pages(1)
    with caplog.at_level(logging.DEBUG), pytest.raises(LedgerAway, match="full") as refused:
        ledger.opening.open(request("big", parameters={"canary": canary}), by="test")
    assert "canary" not in str(refused.value)
    assert not [record for record in caplog.records if "canary" in repr(record.__dict__)]
    assert refused.value.__cause__ is None
    assert ledger.jobs.history(job.job_id) == before
    assert ledger.jobs.named("big") == []
    assert ledger.jobs.counts() == {"running": 1}
    set_pages(1_000_000)
    ledger.opening.open(request("big", parameters={"canary": canary}), by="test")
    assert ledger.execution.finish(lease, states.DONE).state == states.DONE


def _opened_patiently(ledger: Ledger, name: str) -> None:
    for _ in range(10):
        with suppress(LedgerAway):
            ledger.opening.open(request(name), by="test")
            return
    raise AssertionError("the ledger stayed away")


@on_postgres
def test_postgres_restarts_in_the_middle_of_writes(
    open_ledger: OpenLedger, postgres: Postgres
) -> None:
    """Every opening that was under way is accepted, once, by the patience of the ledger, and of who
    asks it again as the front door does; work that goes on keeps its job.
    """
    ledger = open_ledger(lease_seconds=60)
    working, lease = running(ledger, "works")
    failures: list[Exception] = []
    done = threading.Event()
    names: list[str] = []

    def write(writer: int) -> None:
        n = 0
        while not done.is_set() or n < 20:
            n += 1
            name = f"w{writer}-{n}"
            try:
                _opened_patiently(ledger, name)
                names.append(name)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)
                return

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    postgres.restart()
    lease.progress()
    postgres.crash()
    postgres.start()
    lease.progress()
    done.set()
    for writer in writers:
        writer.join(30)
    assert failures == []
    accepted = ledger.jobs.jobs(state=states.PENDING, limit=99_999)
    assert sorted(job.request_id for job in accepted) == sorted(names)
    assert _count(ledger, audit) == len(names) + 2
    assert ledger.lease_expiry.take_from_the_dead() == []
    assert ledger.execution.finish(lease, states.DONE).job_id == working.job_id


@on_postgres
def test_postgres_away_for_long(open_ledger: OpenLedger, postgres: Postgres) -> None:
    """Reading and writing say so within their patience; after its return everything goes on."""
    ledger = open_ledger()
    job = opened(ledger)
    postgres.stop()
    try:
        for ask in (partial(ledger.jobs.job, job.job_id), partial(opened, ledger, "r2")):
            with in_time(), pytest.raises(LedgerAway, match="it is safe to try again"):
                ask()
    finally:
        postgres.start()
    assert ledger.jobs.job(job.job_id) == job
    opened(ledger, "r2")


@on_postgres
def test_a_process_that_slept_in_a_transaction(ledger: Ledger) -> None:
    """Its session was ended so that its locks held up nobody; awake again, it starts anew."""
    job = opened(ledger)
    asleep = [True]
    changed_it = threading.Event()

    def work(connection: Connection) -> int:
        changed = connection.execute(
            jobs.update().where(jobs.c.job_id == job.job_id).values(attempts=7)
        )
        if asleep:
            asleep.clear()
            changed_it.set()
            time.sleep(6)
            connection.execute(select(jobs.c.job_id)).all()
        return changed.rowcount

    sleeper = threading.Thread(
        target=ledger.database.write, args=(work,), kwargs={"patience_seconds": 20}
    )
    sleeper.start()
    assert changed_it.wait(30)
    # PostgreSQL ends the session five seconds after its last statement, and no statement waits
    # longer than that for a lock.
    time.sleep(2)
    assert ledger.operator_actions.cancel(job.job_id, by="ana").state == states.CANCELLED
    sleeper.join(30)
    assert ledger.jobs.job(job.job_id).attempts == 7


def _open_for_ever(url: str, name: str, opened_one: Any) -> None:
    ledger = Ledger(url)
    n = 0
    while True:
        n += 1
        job, _ = ledger.opening.open(
            request(f"{name}-{n}", task_id=f"t{name}-{n}"), by="test", notify=NOTIFY
        )
        claimed = ledger.execution.claim(job.job_id)
        assert claimed is not None
        ledger.execution.finish(
            claimed[1], states.DONE, result={"n": n}, obligations=[("chain", {"n": n})]
        )
        opened_one.set()


def _sessions(ledger: Ledger) -> set[int]:
    """The sessions on the ledger's database in PostgreSQL, which may still commit what a process
    sent before it was killed.
    """
    if ledger.database.is_sqlite:
        return set()
    here = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    return set(ledger.database.read(lambda connection: connection.execute(here).scalars().all()))


def test_a_killed_process_leaves_nothing_half(ledger: Ledger, ledger_url: str) -> None:
    """Killed between any two instructions: every job has its whole history, its waiter, and what
    its end owes, or is not there.
    """
    context: Any = forked.context
    own = _sessions(ledger)
    for name in ("a", "b", "c"):
        begun = context.Event()
        process = context.Process(target=_open_for_ever, args=(ledger_url, name, begun))
        process.start()
        assert begun.wait(30)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        process.close()
        eventually(lambda: _sessions(ledger) <= own, what="PostgreSQL still works for the dead")
    found = ledger.jobs.jobs(limit=99999)
    whole = [(None, "pending"), ("pending", "running"), ("running", "done")]
    states_of = {"pending": 1, "running": 2, "done": 3}
    for job in found:
        assert steps(ledger, job.job_id) == whole[: states_of[job.state]]
    owed = ledger.outbox.due(limit=99999)
    done = {job.job_id for job in found if job.state == states.DONE}
    assert sorted((one.job_id, one.kind) for one in owed) == sorted(
        (job_id, kind) for job_id in done for kind in ("chain", "notify")
    )
    assert _count(ledger, waiters) == len(found)
    assert _count(ledger, audit) == sum(states_of[job.state] for job in found)


@on_postgres
def test_a_row_that_another_inserted_meanwhile(ledger: Ledger) -> None:
    """It is found, however slow the database was: whoever met it is told no error of SQL's."""
    rounds = 0

    def work(connection: Connection) -> int:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            opened(ledger)
            time.sleep(0.2)  # longer than its patience
        elif ledger.jobs.jobs():
            return rounds
        insert_job(connection, request(), by="test")
        return rounds

    assert ledger.database.write(work, patience_seconds=0.1) == 2
    assert _count(ledger, jobs) == 1


@on_postgres
def test_a_row_that_can_never_stand(ledger: Ledger) -> None:
    """It is not tried for ever, and nothing of it stands."""
    opened(ledger)
    with pytest.raises(IntegrityError):
        ledger.database.write(lambda connection: insert_job(connection, request(), by="test"))
    assert (_count(ledger, jobs), _count(ledger, audit)) == (1, 1)


def test_a_file_that_is_damaged_is_told_of_in_a_sentence(tmp_path: Path) -> None:
    """A ledger's file that is no database: what it is and what to do; it stays as it is."""
    file = tmp_path / "ledger.sqlite3"
    file.write_bytes(b"no database " * 400)
    with closing(Ledger(f"sqlite:///{file}")) as ledger:
        for ask in (ledger.identity.prepare, ledger.identity.migrate, ledger.jobs.counts):
            with pytest.raises(Unsuitable, match=r"is damaged, or is not an SQLite database"):
                ask()
    assert file.read_bytes() == b"no database " * 400
