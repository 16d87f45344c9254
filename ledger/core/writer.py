"""Group commit on SQLite: one thread of a process writes for all others, many in one transaction.

SQLite lets one connection write at a time, and each commit waits for the disk. Threads that write
by themselves queue for the file's lock and then wait for one commit each. Here they hand their work
to one thread, which begins a transaction, runs what waits, each item in a savepoint of its own, and
commits once.
"""

from __future__ import annotations

import copy
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RootTransaction
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from ledger.errors import NotBegun

from . import forks

#: PostgreSQL ends the session of a process that slept in a transaction with an InternalError.
AWAY = (OperationalError, InterfaceError, InternalError, NoConnectionFree)
#: The key under which a connection keeps the calls to make once its transaction is committed.
AFTER_COMMIT = "after commit"

#: A group begins no further item after so many items, or after so many seconds of work.
MOST_ITEMS = 64
MOST_SECONDS = 0.05

#: The pauses between looks at a file that is locked or away, in seconds: each is twice the last.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.01
#: SQLite does not hand its lock over: a process that begins again at once would keep every other
#: out. So for some seconds after the lock was found taken, the writer pauses between groups.
_GIVE_WAY_SECONDS = 0.003
_SHARED_SECONDS = 1.0

_BUSY = "other writes took too long"


class Item:
    """The work of one caller, and its outcome once ``done`` is released."""

    __slots__ = ("after", "context", "deadline", "done", "error", "result", "work")

    def __init__(self, work: Callable[[Connection], Any], deadline: float) -> None:
        self.work = work
        self.deadline = deadline
        # The work runs in another thread, but under its caller's context: log lines name the job.
        self.context = copy_context()
        self.after: list[Callable[[], None]] = []
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Writer:
    """The thread that writes. It starts with the first work, and again in a forked process.

    Parameters: ``connect``, which opens a connection whose transactions begin IMMEDIATE, and fail
    at once if the file is locked: the writer itself tries again while work waits.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._reset()
        forks.watch(self)

    def run(
        self, work: Callable[[Connection], Any], *, deadline: float, first: bool = False
    ) -> tuple[Any, list[Callable[[], None]]]:
        """Run ``work`` in a transaction of the writer; return its result once that is committed,
        and the calls to make then.

        Work that was not begun by ``deadline`` (monotonic) never is, and raises NotBegun. Work that
        was begun is waited for. ``first`` work goes before all other that waits. Raises what the
        work raised, or what kept its group from being committed.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "a write inside the work of another write: use the connection that the work got"
            )
        item = Item(work, deadline)
        try:
            self._submit(item, first)
            if not item.done.acquire(timeout=max(deadline - time.monotonic(), 0)):
                self._withdraw(item)
                item.done.acquire()
        except BaseException:
            # The caller is interrupted: what was not begun is not begun any more.
            self._withdraw(item)
            raise
        if item.error is None:
            return item.result, item.after
        try:
            raise item.error
        finally:
            # The error's traceback holds this frame.
            item.error = None

    @property
    def waiting(self) -> int:
        """How many items wait that were not begun."""
        return len(self._urgent) + len(self._others)

    def close(self) -> None:
        """Write what waits, then end the thread and close its connection. Later work starts it
        again.
        """
        with self._changed:
            thread, self._closing = self._thread, True
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def leave_to_parent(self) -> Connection | None:
        """Start afresh in a forked process, which has the parent's connection but not its thread;
        return that connection.
        """
        connection = self._connection
        self._reset()
        return connection

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self.between_groups = threading.RLock()
        self._urgent: deque[Item] = deque()
        self._others: deque[Item] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._connection = None
        #: How many of the next items have a transaction each.
        self._singly = 0
        self._pause = _FIRST_PAUSE
        self._shared_until = 0.0
        self._why = _BUSY

    def _submit(self, item: Item, first: bool) -> None:
        with self._changed:
            (self._urgent if first else self._others).append(item)
            if self._thread is None:
                self._start()
            self._changed.notify()

    def _start(self) -> None:
        self._closing = False
        name = "earwitness-writer"
        thread = threading.Thread(target=self._write_for_ever, name=name, daemon=True)
        thread.start()
        self._thread = thread

    def _withdraw(self, item: Item) -> None:
        """Take an item back unless it was begun; end it as not begun."""
        with self._changed:
            for waiting in (self._urgent, self._others):
                with suppress(ValueError):
                    waiting.remove(item)
                    self._refuse(item)

    def _refuse(self, item: Item) -> None:
        item.error = NotBegun(
            f"the ledger does not answer ({self._why}); nothing was written; it is safe to try "
            "again"
        )
        item.done.release()

    def _write_for_ever(self) -> None:
        while self._wait():
            try:
                with self.between_groups:
                    self._write_group()
            except Exception as error:  # noqa: BLE001 - each caller gets it; later ones need this thread
                self._fail_waiting(error)

    def _wait(self) -> bool:
        """Wait for work; return False once the writer is to end."""
        with self._changed:
            while not (self._urgent or self._others):
                if self._closing:
                    self._drop_connection()
                    self._thread = None
                    return False
                self._changed.wait()
        return True

    def _write_group(self) -> None:
        """Write what waits, as far as one group goes, if the transaction can be begun now."""
        transaction = self._begin()
        if transaction is None:
            return
        group: list[Item] = []
        most = 1 if self._singly else MOST_ITEMS
        try:
            until = time.monotonic() + MOST_SECONDS
            while len(group) < most and (item := self._next()) is not None:
                group.append(item)
                self._run(item)
                if time.monotonic() >= until:
                    break
            transaction.commit()
        except BaseException as error:  # noqa: BLE001 - every caller of the group gets it
            self._drop_connection()
            # Perhaps one item cannot be committed. When they are tried again, it must not fail the
            # others a second time.
            self._singly = max(self._singly - 1, len(group) if len(group) > 1 else 0)
            _fail(group, error)
        else:
            self._singly = max(self._singly - len(group), 0)
        for item in group:
            item.done.release()

    def _begin(self) -> RootTransaction | None:
        """Begin a transaction; return None if another process holds the lock, or the file is away.

        Nothing that waits is begun meanwhile, so each caller can still be refused at its deadline.
        """
        if time.monotonic() < self._shared_until:
            time.sleep(_GIVE_WAY_SECONDS)
        try:
            if self._connection is None:
                self._connection = self._connect()
            transaction = self._connection.begin()
        except AWAY as error:
            self._why = cause_of(error)
            if _is_locked(error):
                self._shared_until = time.monotonic() + _SHARED_SECONDS
            else:
                self._drop_connection()
            time.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return None
        self._why, self._pause = _BUSY, _FIRST_PAUSE
        return transaction

    def _next(self) -> Item | None:
        """Take the next item from those that wait; from then on it counts as begun."""
        with self._changed:
            while self._urgent or self._others:
                item = (self._urgent or self._others).popleft()
                if time.monotonic() < item.deadline:
                    return item
                self._refuse(item)
        return None

    def _run(self, item: Item) -> None:
        """Run one item in a savepoint. Raises only what ends the transaction of the whole group.

        The commit releases the savepoints of the group. Until then they nest, and a rollback goes
        to the newest.
        """
        connection = self._connection
        assert connection is not None
        execute_bare(connection, "SAVEPOINT item")
        connection.info[AFTER_COMMIT] = item.after
        try:
            item.result = item.context.run(item.work, connection)
        except BaseException as error:
            # A full disk or a damaged file may have made SQLite roll back the transaction.
            if not _driver(connection).in_transaction:
                raise
            execute_bare(connection, "ROLLBACK TO item")
            item.error = error
            item.after.clear()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        # Not back to the pool: it fails at once if the file is locked.
        with suppress(Exception):
            connection.invalidate()
        with suppress(Exception):
            connection.close()

    def _fail_waiting(self, error: Exception) -> None:
        """Hand an error that no waiting mends to everybody who waits: the file is damaged."""
        self._drop_connection()
        with self._changed:
            waiting = [*self._urgent, *self._others]
            self._urgent.clear()
            self._others.clear()
        _fail(waiting, error)
        for item in waiting:
            item.done.release()


def cause_of(error: Exception) -> str:
    """Return the first line of what the driver said."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: Any = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def execute_bare(connection: Connection, statement: str) -> None:
    """Run a statement of SQLite without values and rows, without SQLAlchemy's cost, but with its
    errors.
    """
    try:
        _driver(connection).execute(statement)
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            statement, None, error, sqlite3.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def _fail(items: list[Item], error: BaseException) -> None:
    """Give each item the error of its group, as a copy of its own.

    An item's own error gives way, since it may rest on what another item wrote, and that was rolled
    back; but a caller that was to stop stops.
    """
    for item in items:
        if item.error is None or isinstance(item.error, Exception):
            item.error = _copied(error)
            item.error.__cause__ = error


def _copied(error: BaseException) -> BaseException:
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - an exception need not be made to be copied
        return RuntimeError(f"the transaction failed ({type(error).__name__})")


def _is_locked(error: Exception) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)
