"""Writes of one process that wait together for their group, and what became of each."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, func, insert, select

from ledger.core.database import Database, now
from ledger.core.schema import audit

from .waiting import eventually

Work = Callable[[Connection], Any]


def row(name: str) -> Work:
    """Work that writes one row under this name."""

    def work(connection: Connection) -> str:
        values = {"job_id": name, "at": now(), "to_state": "pending", "by": "test", "why": ""}
        connection.execute(insert(audit).values(**values))
        return name

    return work


def rows(database: Database) -> list[str]:
    """The names of the rows that are there, in the order in which they were written."""
    names = select(audit.c.job_id).order_by(audit.c.id)
    return database.read(lambda connection: list(connection.execute(names).scalars()))


def row_count(path: Path) -> int:
    """How many rows are in the file, as another process sees it."""
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM audit").fetchone()[0])
    finally:
        connection.close()


class Commits:
    """Counts what SQLite itself commits, on connections opened from now on."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database.engine, "connect", self._trace)

    def _trace(self, connection: Any, _record: Any) -> None:
        connection.set_trace_callback(self._heard)

    def _heard(self, statement: str) -> None:
        self.count += statement == "COMMIT"


class Writing:
    """Threads that write, and for each in order: its result, or the exception that it got."""

    def __init__(self, database: Database, works: Sequence[Work], **given: Any) -> None:
        self._database, self._given = database, given
        self.outcomes: list[Any] = [None] * len(works)
        self._threads = [
            threading.Thread(target=self._write, args=one, daemon=True) for one in enumerate(works)
        ]

    def queue(self) -> None:
        """Begin; return once all of them wait for the writer, in order."""
        writer = self._database.writer
        assert writer is not None
        for thread in self._threads:
            before = writer.waiting
            thread.start()
            eventually(lambda: writer.waiting > before, pause=0.001, what="a write did not queue")  # noqa: B023 - used at once

    def start(self) -> None:
        """Begin all of them."""
        for thread in self._threads:
            thread.start()

    def end(self) -> list[Any]:
        """Wait for all of them; return their outcomes."""
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a write does not end"
        return self.outcomes

    def _write(self, number: int, work: Work) -> None:
        try:
            self.outcomes[number] = self._database.write(work, **self._given)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.outcomes[number] = error


@contextmanager
def file_locked(database: Database) -> Iterator[None]:
    """Within, the file is locked, as by another process."""
    connection = sqlite3.connect(str(database.url.database), isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def written_together(database: Database, works: Sequence[Work], **given: Any) -> list[Any]:
    """Write all of them, queued in order before the first is begun; return their outcomes."""
    writing = Writing(database, works, **{"patience_seconds": 60, **given})
    with file_locked(database):
        writing.queue()
    return writing.end()


def count_of(table: Any, database: Database) -> int:
    """How many rows a table has."""
    count = select(func.count()).select_from(table)
    return database.read(lambda connection: int(connection.execute(count).scalar_one()))


_HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@contextmanager
def another_process_writes(database: Database, seconds: float) -> Iterator[None]:
    """Within, another process holds the file's lock, for so many seconds at least."""
    command = [sys.executable, "-c", _HOLDER, str(database.url.database), str(seconds)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("let go\n", timeout=60)
