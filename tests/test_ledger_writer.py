"""One thread of a process writes to an SQLite ledger for all others, many in one transaction."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from ledger.core.database import Database, now, once_committed
from ledger.core.schema import jobs
from ledger.core.writer import MOST_ITEMS, MOST_SECONDS
from ledger.errors import LedgerAway, NotBegun
from ledger.ledger import Ledger

from . import forked
from .group_writes import Commits, Writing, row, rows, written_together
from .ledgers import answer_lost, pass_time, running
from .waiting import eventually

pytestmark = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


@pytest.fixture
def database(ledger: Ledger) -> Database:
    """The database of a ledger that was never used, with no connection open yet."""
    ledger.close()
    return ledger.database


@contextmanager
def inside(database: Database, name: str = "inside") -> Iterator[Writing]:
    """Within, one thread is inside its transaction."""
    begun, leave = threading.Event(), threading.Event()

    def stay(connection: Connection) -> None:
        row(name)(connection)
        begun.set()
        leave.wait(60)

    writing = Writing(database, [stay])
    writing.start()
    assert begun.wait(30)
    try:
        yield writing
    finally:
        leave.set()
        writing.end()


def test_many_threads_need_few_commits(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits together is committed together, in the order in which it came."""
    # On a slow machine a group would end by its time, after any number of items.
    monkeypatch.setattr("ledger.core.writer.MOST_SECONDS", 60.0)
    commits = Commits(database)
    names = [f"w{n}" for n in range(MOST_ITEMS)]
    assert written_together(database, [row(name) for name in names]) == names
    assert rows(database) == names
    assert commits.count <= 2


def test_a_group_has_at_most_64_items(database: Database) -> None:
    """More that wait are left for the next group, and all are written."""
    commits = Commits(database)
    groups: list[int] = []

    def work(connection: Connection) -> None:
        row("w")(connection)
        groups.append(commits.count)

    assert written_together(database, [work] * 150) == [None] * 150
    assert MOST_ITEMS == 64
    assert max(groups.count(one) for one in groups) <= MOST_ITEMS
    assert len(rows(database)) == 150


def test_a_group_begins_nothing_more_after_50_ms(database: Database) -> None:
    """Slow work does not keep those before it from their commit, however much waits behind."""
    commits = Commits(database)
    groups: list[int] = []

    def work(connection: Connection) -> None:
        row("w")(connection)
        groups.append(commits.count)
        time.sleep(0.03)

    written_together(database, [work] * 7)
    assert MOST_SECONDS == 0.05
    assert max(groups.count(one) for one in groups) <= 2
    assert len(rows(database)) == 7


def test_the_error_of_one_reaches_its_caller_alone(database: Database) -> None:
    """What it wrote is undone, the others of its group are written, and the caller gets the very
    exception, with the place where it was raised; calls that it wanted made are not made.
    """
    commits, called = Commits(database), []
    failure = ValueError("mine")

    def fails(connection: Connection) -> None:
        row("undone")(connection)
        once_committed(connection, lambda: called.append("undone"))
        raise failure

    def wrong(connection: Connection) -> None:
        row("undone as well")(connection)
        connection.exec_driver_sql("INSERT INTO waiters (task_id) VALUES ('t1')")

    works = [row("a"), fails, row("b"), wrong, row("c")]
    a, failed, b, refused, c = written_together(database, works)
    assert (a, b, c) == ("a", "b", "c")
    assert failed is failure
    assert "fails" in [frame.name for frame in traceback.extract_tb(failure.__traceback__)]
    assert "NOT NULL" in str(refused)
    assert rows(database) == ["a", "b", "c"]
    assert called == []
    assert commits.count >= 1


def test_calls_once_committed_are_made_by_the_caller(database: Database) -> None:
    """In the caller's own thread, when its row can be read, once."""
    seen: list[Any] = []

    def work(connection: Connection) -> int:
        row("a")(connection)
        once_committed(connection, lambda: seen.append((threading.get_ident(), rows(database))))
        return threading.get_ident()

    writer = database.write(work)
    assert seen == [(threading.get_ident(), ["a"])]
    assert writer != threading.get_ident()


def test_work_sees_the_context_of_its_caller(database: Database) -> None:
    """Log lines inside a transaction name the job of the thread that asked for it."""
    job: ContextVar[str] = ContextVar("job", default="none")

    def asks(name: str, into: list[str]) -> None:
        job.set(name)
        database.write(lambda _connection: into.append(job.get()))

    told: list[str] = []
    for name in ("a", "b"):
        thread = threading.Thread(target=asks, args=(name, told))
        thread.start()
        thread.join()
    assert told == ["a", "b"]


def test_what_was_not_begun_in_time_is_certainly_not_done(database: Database) -> None:
    """Its caller is told at its deadline, while another is inside; it is not run later either."""
    with inside(database):
        with pytest.raises(NotBegun, match="nothing was written") as refused:
            database.write(row("late"), patience_seconds=0.1)
        assert "the ledger does not answer (other writes took too long)" in str(refused.value)
        assert database.writer is not None
        assert database.writer.waiting == 0
    database.write(row("next"))
    assert rows(database) == ["inside", "next"]


def test_what_was_begun_in_time_is_waited_for(database: Database) -> None:
    """Begun before its deadline and ready after it, it is done, and its caller learns that."""

    def slow(connection: Connection) -> str:
        time.sleep(3)
        return str(row("slow")(connection))

    assert database.write(slow, patience_seconds=2.5) == "slow"
    assert rows(database) == ["slow"]


def test_what_was_begun_once_is_never_called_certainly_not_done(
    ledger: Ledger, database: Database
) -> None:
    """Its commit was written, but the answer was lost, and the file is locked when it would be
    tried again: nobody says that it is not done.
    """
    lock = sqlite3.connect(
        str(database.url.database), isolation_level=None, timeout=30, check_same_thread=False
    )
    connected: list[None] = []

    def lock_file(_connection: Connection) -> None:
        connected.append(None)
        if len(connected) == 2:
            lock.execute("BEGIN IMMEDIATE")

    event.listen(database.engine, "engine_connect", lock_file)
    with answer_lost(ledger), pytest.raises(LedgerAway, match="the answer was lost") as failed:
        database.write(row("a"), patience_seconds=1.5)
    assert type(failed.value) is LedgerAway
    lock.close()
    event.remove(database.engine, "engine_connect", lock_file)
    assert rows(database) == ["a"]


def test_every_deadline_falls_on_one_side_or_the_other(database: Database) -> None:
    """Writes whose time is as short as a group: each that is said not to be begun is not there, and
    each that returns is.
    """

    def write(name: str) -> list[str]:
        done = []
        for n in range(100):
            with suppress(NotBegun):
                done.append(
                    database.write(row(f"{name}-{n}"), patience_seconds=(1 + n % 10) / 1000)
                )
        return done

    with ThreadPoolExecutor(16) as threads:
        done = [one for some in threads.map(write, "abcdefghijklmnop") for one in some]
    assert sorted(rows(database)) == sorted(done)


def test_renewals_go_before_all_that_waits(ledger: Ledger) -> None:
    """However many writes wait, a lease is renewed before them."""
    job, _ = running(ledger)
    pass_time(ledger, 20, jobs.c.lease_until)
    left = select(jobs.c.lease_until - now()).where(jobs.c.job_id == job.job_id)

    def work(connection: Connection) -> float:
        return float(connection.execute(left).scalar_one())

    with inside(ledger.database):
        writing = Writing(ledger.database, [work] * 5, patience_seconds=60)
        writing.queue()
        renewing = threading.Thread(target=ledger.leases.renew)
        renewing.start()
        writer = ledger.database.writer
        assert writer is not None
        eventually(lambda: writer.waiting == 6)
    renewing.join(30)
    assert min(writing.end()) > 15


def test_a_write_inside_a_write_is_refused(database: Database) -> None:
    """It would wait for itself: it says so at once, its caller gets that, and nothing is stored."""

    def nests(connection: Connection) -> None:
        row("outer")(connection)
        database.write(row("inner"))

    with pytest.raises(RuntimeError, match="a write inside the work of another write"):
        database.write(nests)
    database.write(row("next"))
    assert rows(database) == ["next"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_stops_its_own_work_stops_nobody_else(
    database: Database, stop: type[BaseException]
) -> None:
    """The thread that writes goes on for the others."""

    def stops(connection: Connection) -> None:
        row("undone")(connection)
        raise stop

    stopped, a = written_together(database, [stops, row("a")])
    assert type(stopped) is stop
    assert a == "a"
    assert rows(database) == ["a"]


def _writers() -> list[threading.Thread]:
    """The writers that run in this process; other tests' databases may have theirs."""
    return [one for one in threading.enumerate() if one.name == "earwitness-writer"]


def test_closing_writes_what_waits_and_what_comes_later(database: Database) -> None:
    """Nothing that was asked for before is lost, and a database that was closed opens again."""
    with inside(database):
        writing = Writing(database, [row("a"), row("b")], patience_seconds=60)
        writing.queue()
        writers = _writers()
        closing = threading.Thread(target=database.close)
        closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert writing.end() == ["a", "b"]
    assert len(_writers()) < len(writers)
    database.write(row("c"))
    assert rows(database) == ["inside", "a", "b", "c"]


def _fork_and_write(url: str) -> None:
    ledger, done = Ledger(url), threading.Event()

    def write() -> None:
        while not done.is_set():
            ledger.database.write(row("parent"), patience_seconds=60)

    writing = threading.Thread(target=write)
    writing.start()
    for n in range(10):
        child = os.fork()
        if child == 0:
            ledger.database.write(row(f"child {n}"), patience_seconds=60)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0
    done.set()
    writing.join(60)
    ledger.database.write(row("after"))
    ledger.close()


def test_a_forked_process_has_a_writer_of_its_own(database: Database, ledger_url: str) -> None:
    """Forked while its parent writes without a pause, it writes as well, and so does its parent
    afterwards.
    """
    process = forked.context.Process(target=_fork_and_write, args=(ledger_url,))
    process.start()
    process.join(90)
    assert process.exitcode == 0
    written = rows(database)
    assert [one for one in written if one != "parent"] == [f"child {n}" for n in range(10)] + [
        "after"
    ]
    assert written.count("parent") > 0
