"""Connections to PostgreSQL that stay open and ready for steps of one statement.

A pool of SQLAlchemy makes a connection ready before each use and resets it afterwards, and closes
those that are used beyond its size. That costs more than a statement does, and a new connection
makes PostgreSQL start a process and prepare each statement again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from . import forks
from .writer import AFTER_COMMIT, AWAY

Result = TypeVar("Result")

#: So many steps take place at once: as many as PostgreSQL commits together. Each of them is over in
#: milliseconds.
_AT_ONCE = 12


class KeptConnections:
    """Connections of an engine in autocommit mode, each for one step at a time.

    Parameters: ``engine``; ``fresh_seconds``, after which an unused connection is pinged before its
    next use.
    """

    def __init__(self, engine: Engine, fresh_seconds: float) -> None:
        self._engine = engine
        self._fresh_seconds = fresh_seconds
        self.between_groups = threading.RLock()
        self._reset()
        forks.watch(self)

    def written(
        self, work: Callable[[Connection], Result | None], patience_seconds: float
    ) -> Result | None:
        """Run work of one statement, and the calls to make once that is committed; return its
        result, or None if nothing was written, or if nobody knows.
        """
        try:
            with self._connection(patience_seconds) as connection:
                after = connection.info[AFTER_COMMIT] = []
                result = work(connection)
        except (*AWAY, IntegrityError, DataError):
            return None
        for call in after:
            call()
        return result

    @contextmanager
    def _connection(self, patience_seconds: float) -> Iterator[Connection]:
        """Lend a connection; the context is one transaction of SQLAlchemy, whose statements
        PostgreSQL commits one by one.

        Raises TimeoutError of SQLAlchemy if all connections are in use for so long, and what
        connecting raises. After an error the connection is not used again.
        """
        turns, free = self._turns, self._free
        if not turns.acquire(timeout=patience_seconds):
            raise NoConnectionFree("all connections for single statements are in use")
        try:
            connection = self._take()
            try:
                with connection.begin():
                    yield connection
            except BaseException:
                _leave(connection)
                raise
            free.append((connection, time.monotonic()))
        finally:
            turns.release()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._free:
            _leave(self._free.pop()[0])

    def leave_to_parent(self) -> list[tuple[Connection, float]]:
        """Start afresh in a forked process; return the parent's connections."""
        free = self._free
        self._reset()
        return free

    def _reset(self) -> None:
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        #: With the time of their last use. The one that was used last is taken first.
        self._free: list[tuple[Connection, float]] = []

    def _take(self) -> Connection:
        while True:
            try:
                connection, used_at = self._free.pop()
            except IndexError:
                return self._engine.connect()
            if time.monotonic() - used_at < self._fresh_seconds or _answers(connection):
                return connection
            _leave(connection)


def _answers(connection: Connection) -> bool:
    try:
        connection.dialect.do_ping(connection.connection.dbapi_connection)  # type: ignore[arg-type]
    except connection.dialect.loaded_dbapi.Error:
        connection.invalidate()
        return False
    return True


def _leave(connection: Connection) -> None:
    """Return a connection to its engine, which resets it or closes a broken one."""
    with suppress(DBAPIError):
        connection.close()
