"""What a question costs the ledger's database, in its own units: the same on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from ledger.core.database import Database

#: SQLite counts every so many steps of its virtual machine.
_STEPS = 10
_BLOCKS = """
    SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()
"""


@dataclass(frozen=True)
class Cost:
    """Seconds, and what the database did: steps of SQLite's virtual machine, or blocks that
    PostgreSQL looked into.
    """

    seconds: float
    work: int


class Meter:
    """Counts what a database does. It must be made before the first connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._steps = 0
        if database.is_sqlite:
            event.listen(database.engine, "connect", self._watch)

    def cost(self, question: Callable[[], object]) -> Cost:
        """Ask the question and return its cost."""
        before = self._work()
        began = time.perf_counter()
        question()
        seconds = time.perf_counter() - began
        own = 0 if self._database.is_sqlite else self._blocks_of_counting()
        return Cost(seconds, max(self._work() - before - own, 0))

    def _watch(self, connection: Any, _record: Any) -> None:
        connection.set_progress_handler(self._note, _STEPS)

    def _note(self) -> int:
        self._steps += _STEPS
        return 0

    def _work(self) -> int:
        return self._steps if self._database.is_sqlite else self._blocks()

    def _blocks(self) -> int:
        def look(connection: Any) -> int:
            # Otherwise a session passes its counts on once a second.
            connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
            connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
            return int(connection.exec_driver_sql(_BLOCKS).scalar_one())

        return self._database.read(look)

    def _blocks_of_counting(self) -> int:
        before = self._blocks()
        return self._blocks() - before
