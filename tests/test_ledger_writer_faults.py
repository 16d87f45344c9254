"""Groups of writes to an SQLite ledger that meet a kill, a full disk, a failing commit, or the lock
of another process.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError

from ledger.core.database import Database
from ledger.core.schema import audit
from ledger.errors import LedgerAway, NotBegun, Unsuitable
from ledger.ledger import Ledger

from . import forked, unused_ledgers
from .disks import small_disk
from .group_writes import (
    Commits,
    Writing,
    another_process_writes,
    count_of,
    row,
    row_count,
    rows,
    written_together,
)
from .ledgers import answer_lost, commit_lost
from .waiting import eventually


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """A ledger that was never used, in an SQLite file."""
    unused_ledgers.copy(tmp_path / "unused.sqlite3", tmp_path / "ledger.sqlite3")
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture
def database(ledger: Ledger) -> Database:
    """The database of a ledger that was never used."""
    return ledger.database


def _write_until_killed(url: str, acknowledged: str, inside: Any) -> None:
    """Eight threads write one row after the other, and note each that was acknowledged. Once told
    so, one of them stays in the middle of a group.
    """
    database = Ledger(url).database
    note = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(thread: int) -> None:
        for n in range(10**9):
            os.write(note, f"{database.write(row(f'{thread}-{n}'))}\n".encode())

    def stay(connection: Connection) -> None:
        row("inside")(connection)
        inside.set()
        time.sleep(600)

    for thread in range(8):
        threading.Thread(target=write, args=(thread,), daemon=True).start()
    path = Path(acknowledged)
    while len(path.read_text().splitlines()) < 40:
        time.sleep(0.01)
    written_together(database, [row("group a"), row("group b"), stay])


def test_a_process_killed_inside_a_group(
    database: Database, ledger_url: str, tmp_path: Path
) -> None:
    """Every write that was acknowledged is there; of the group nothing is, and others write on."""
    acknowledged = tmp_path / "acknowledged"
    inside = forked.context.Event()
    process = forked.context.Process(
        target=_write_until_killed, args=(ledger_url, str(acknowledged), inside)
    )
    process.start()
    assert inside.wait(60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    there, promised = set(rows(database)), set(acknowledged.read_text().splitlines())
    assert len(promised) >= 40
    assert promised <= there
    assert not there & {"inside", "group a", "group b"}
    database.write(row("next"))


def _poison(connection: Connection) -> None:
    """What no commit accepts, though each statement succeeds."""
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    connection.exec_driver_sql(
        "INSERT INTO waiters (task_id, job_id, asked_at, attempts) VALUES ('t', 'none', 0, 0)"
    )


def test_a_commit_that_fails_for_one_is_repeated_for_the_others(database: Database) -> None:
    """Who wrote what cannot be committed gets that error; all others of the group are written."""
    names = [f"w{n}" for n in range(20)]
    works = [row(name) for name in names]
    *outcomes, refused = written_together(database, [*works, _poison])
    assert outcomes == names
    assert isinstance(refused, IntegrityError)
    assert sorted(rows(database)) == sorted(names)


@pytest.mark.parametrize("lost", [answer_lost, commit_lost])
def test_a_commit_without_an_answer_is_repeated_by_each_caller(
    ledger: Ledger, lost: Callable[[Ledger], Any]
) -> None:
    """Conditional statements find what was written, or write it now: it is there once."""

    def once(name: str) -> Callable[[Connection], Any]:
        def work(connection: Connection) -> None:
            there = "SELECT 1 FROM audit WHERE job_id = ?"
            if connection.exec_driver_sql(there, (name,)).first() is None:
                row(name)(connection)

        return work

    names = [f"w{n}" for n in range(20)]
    with lost(ledger):
        outcomes = written_together(ledger.database, [once(name) for name in names])
    assert outcomes == [None] * len(names)
    assert sorted(rows(ledger.database)) == sorted(names)


def test_callers_of_a_failed_group_get_an_error_each(ledger: Ledger) -> None:
    """No two raise the same exception, whose traceback and notes each of them would change."""

    def refuses(_connection: Connection) -> None:
        raise ValueError("its own, which rests on what was rolled back")

    works = [row("a"), refuses, _poison, row("b")]
    failed = [
        one
        for one in written_together(ledger.database, [*works, _poison])
        if isinstance(one, Exception)
    ]
    assert sorted(type(one).__name__ for one in failed) == [
        "IntegrityError",
        "IntegrityError",
        "ValueError",
    ]
    assert len({id(one) for one in failed}) == 3
    assert sorted(rows(ledger.database)) == ["a", "b"]


def _big(name: str) -> Callable[[Connection], Any]:
    def work(connection: Connection) -> str:
        connection.exec_driver_sql(
            "INSERT INTO audit (job_id, at, to_state, by, why) VALUES (?, 0, 'pending', 'test', ?)",
            (name, name * 20_000),
        )
        return name

    return work


def test_a_disk_that_fills_up_inside_groups(tmp_path: Path) -> None:
    """Whoever was told that a write is done finds it, and nothing else is there; all others hear
    that the ledger does not answer, with the reason. With room again, writing continues by itself.
    """
    with small_disk(tmp_path) as disk, ExitStack() as stack:
        path = disk / "ledger.sqlite3"
        unused_ledgers.copy(tmp_path / "unused.sqlite3", path)
        ledger = Ledger(f"sqlite:///{path}")
        stack.callback(ledger.close)
        ballast = disk / "ballast"
        ballast.write_bytes(b"")
        ledger.database.write(row("first"))
        _fill(ballast)
        works = [_big(f"w{n}") for n in range(40)]
        outcomes = written_together(ledger.database, works, patience_seconds=6)
        done = [one for one in outcomes if isinstance(one, str)]
        failed = [one for one in outcomes if not isinstance(one, str)]
        assert failed
        assert {type(one) for one in failed} <= {LedgerAway, NotBegun}
        assert all("the ledger does not answer" in str(one) for one in failed)
        assert any("full" in str(one) for one in failed)
        ballast.unlink()
        assert ledger.database.write(row("last"), patience_seconds=60) == "last"
        assert sorted(rows(ledger.database)) == sorted(["first", *done, "last"])
        assert row_count(path) == len(done) + 2


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def test_one_write_that_is_too_big_fails_alone(database: Database) -> None:
    """The file may not grow enough for one of a group: the others are written."""
    database.close()
    pages = sqlite3.connect(str(database.url.database))
    (count,) = pages.execute("PRAGMA page_count").fetchone()
    pages.close()
    _limit_pages(database, count + 20)
    names = [f"w{n}" for n in range(5)]

    def too_big(connection: Connection) -> None:
        _big("too big" * 50)(connection)

    *outcomes, refused = written_together(
        database, [*(row(name) for name in names), too_big], patience_seconds=3
    )
    assert outcomes == names
    assert type(refused) is LedgerAway
    assert "full" in str(refused)
    assert sorted(rows(database)) == names


def _limit_pages(database: Database, pages: int) -> None:
    event.listen(
        database.engine,
        "connect",
        lambda connection, _: connection.execute(f"PRAGMA max_page_count = {pages}"),
    )


def test_a_damaged_file_is_reported_to_every_caller(tmp_path: Path) -> None:
    """All that wait get the sentence that says what to do, each as an exception of its own."""
    path = tmp_path / "damaged.sqlite3"
    path.write_bytes(b"no database " * 400)
    ledger = Ledger(f"sqlite:///{path}")
    writing = Writing(ledger.database, [row(f"w{n}") for n in range(8)], patience_seconds=60)
    writing.start()
    outcomes = writing.end()
    ledger.close()
    assert {type(one) for one in outcomes} == {Unsuitable}
    assert len({id(one) for one in outcomes}) == 8
    assert path.read_bytes() == b"no database " * 400


@pytest.mark.parametrize("seconds", [1, 4])
def test_the_lock_of_another_process_under_load(
    database: Database, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it lasts, reads continue, and a caller with little time learns at its deadline that
    nothing is done. Afterwards everything else is written, in few commits.
    """
    # On a slow machine a group would end by its time, after any number of items.
    monkeypatch.setattr("ledger.core.writer.MOST_SECONDS", 60.0)
    database.write(row("before"))
    commits = Commits(database)
    database.close()
    names = [f"w{n}" for n in range(40)]
    patient = Writing(database, [row(name) for name in names], patience_seconds=60)
    with another_process_writes(database, seconds):
        patient.start()
        writer = database.writer
        assert writer is not None
        eventually(lambda: "locked" in writer._why, what="the writer did not meet the lock")
        hasty = Writing(database, [row("hasty")] * 10, patience_seconds=0.2)
        hasty.start()
        for _ in range(50):
            assert count_of(audit, database) == 1
        told = hasty.end()
        assert {type(one) for one in told} == {NotBegun}
        assert all("database is locked" in str(one) for one in told)
        assert patient.outcomes == [None] * 40, "a write passed another process's lock"
    assert patient.end() == names
    assert sorted(rows(database)) == sorted(["before", *names])
    assert commits.count <= 10


def _write_many(url: str, name: str, begin: Any, done: Any) -> None:
    database = Ledger(url).database
    begin.wait(30)
    writing = Writing(database, [row(f"{name}-{n}") for n in range(200)], patience_seconds=60)
    writing.start()
    assert all(isinstance(one, str) for one in writing.end())
    done.set()


def test_two_processes_that_write_all_the_time(database: Database, ledger_url: str) -> None:
    """Neither keeps the other out: all that both wrote is there."""
    begin, done = forked.context.Event(), [forked.context.Event() for _ in range(2)]
    processes = [
        forked.context.Process(target=_write_many, args=(ledger_url, f"p{n}", begin, done[n]))
        for n in range(2)
    ]
    for process in processes:
        process.start()
    begin.set()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0
    eventually(lambda: count_of(audit, database) == 400)
