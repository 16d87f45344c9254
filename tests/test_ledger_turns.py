"""Many threads of one process that write to an SQLite ledger at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select

from ledger.core.database import Database, now
from ledger.core.schema import audit
from ledger.errors import LedgerAway
from ledger.ledger import Ledger

WRITERS = 20


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[float], Database]]:
    """Opens a ledger's database, whose statements wait for a lock for so many seconds."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    ledger = Ledger(url)
    ledger.identity.prepare()
    ledger.close()
    with ExitStack() as stack:

        def open_one(busy_seconds: float) -> Database:
            database = Database(url, busy_seconds=busy_seconds)
            stack.callback(database.close)
            return database

        yield open_one


def write(connection: Connection) -> None:
    """One row more."""
    row = {"job_id": "0b5e", "at": now(), "to_state": "pending", "by": "test", "why": ""}
    connection.execute(insert(audit).values(**row))


def test_writers_take_turns_before_they_take_connections(
    opened: Callable[[float], Database],
) -> None:
    """Nobody waits for SQLite's lock, asleep while it is free, where another thread has it: at
    every moment one connection writes, and every row is there afterwards.
    """
    database = opened(60)
    connected: list[int] = []
    together = threading.Barrier(WRITERS)

    def work(connection: Connection) -> None:
        pool = database.engine.pool
        connected.append(pool.checkedout())  # type: ignore[attr-defined]
        write(connection)

    def one() -> None:
        together.wait()
        for _ in range(3):
            database.write(work)

    threads = [threading.Thread(target=one) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = select(func.count()).select_from(audit)
    assert database.read(lambda c: c.execute(count).scalar_one()) == 3 * WRITERS
    assert connected == [1] * 3 * WRITERS


def test_a_turn_that_does_not_end_keeps_nobody_for_longer_than_the_lock_would(
    opened: Callable[[float], Database],
) -> None:
    """Where a thread stays in its transaction, the others hear that the ledger does not answer."""
    database = opened(0.3)
    inside, leave = threading.Event(), threading.Event()

    def stay(connection: Connection) -> None:
        write(connection)
        inside.set()
        leave.wait(30)

    thread = threading.Thread(target=lambda: database.write(stay))
    thread.start()
    assert inside.wait(30)
    try:
        with pytest.raises(LedgerAway):
            database.write(write, patience_seconds=0.1)
    finally:
        leave.set()
        thread.join()
    database.write(write, patience_seconds=60)
