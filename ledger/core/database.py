"""Short transactions on SQLite or PostgreSQL, and the one clock that all processes share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Double, Engine, Table, create_engine, event, make_url, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError, IntegrityError, InvalidatePoolError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from ledger.errors import LedgerAway, NotBegun, Unsuitable

from .kept_connections import KeptConnections
from .outages import Outages
from .repeats import while_away
from .silent_server import connect_within
from .writer import AFTER_COMMIT, AWAY, Writer, cause_of, execute_bare

Result = TypeVar("Result")

#: libpq's own limits: a vanished host is noticed after seconds, not hours.
_NOTICES_A_DEAD_HOST = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_SQLITE_KEEPS = ("journal_mode", "synchronous")
_POSTGRES_KEEPS = ("synchronous_commit", "fsync", "full_page_writes", "transaction_read_only")
#: The most collisions of two inserts of the same row: the second insert, run again, finds the row.
#: The limit holds however slow the database is, so that no caller waits for it.
_MOST_COLLISIONS = 3


#: How long after its statement timeout a server may be silent.
_GRACE_SECONDS = 2.0
#: A pooled connection that was used within so many seconds is not pinged before its next use.
_FRESH_SECONDS = 5.0
_IDLE_SINCE = "idle since"


def once_committed(connection: Connection, call: Callable[[], None]) -> None:
    """Call ``call`` once the transaction of `Database.write` is committed, and only then."""
    connection.info.setdefault(AFTER_COMMIT, []).append(call)


def insert_into(connection: Connection, table: Table) -> Any:
    """Return an INSERT in the dialect of this connection's database, which supports ON CONFLICT."""
    if connection.dialect.name == "postgresql":
        # All of PostgreSQL's drivers come with it, which most commands would load in vain.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table)
    return sqlite.insert(table)


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """Seconds since 1970 by the database's clock, at this moment rather than at the transaction's
    start.
    """

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "date_part('epoch', clock_timestamp())"


class now_once(now):  # noqa: N801 - reads as the SQL function it is
    """The same, read once for the whole statement, so that PostgreSQL can find rows by an index.

    Not where a statement that had to wait for a row's lock would then decide by a time that has
    passed, as about a lease.
    """

    inherit_cache = True


@compiles(now_once, "postgresql")
def _now_once_postgresql(_element: Any, _compiler: Any, **_options: Any) -> str:
    # PostgreSQL reads this before it plans a statement, and so knows how few rows are due.
    return "extract(epoch FROM statement_timestamp())::float8"


class Database:
    """An engine whose writing transactions are serialised by the database itself.

    Parameters: ``url`` (SQLAlchemy URL of SQLite or PostgreSQL) and ``busy_seconds``, how long one
    statement may wait for a lock; it must stay under a third of a lease.
    """

    def __init__(self, url: str, *, busy_seconds: float) -> None:
        self.url = make_url(url)
        self.outages = Outages()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(url, busy_seconds) if self.is_sqlite else _postgres(url, busy_seconds)
        self.writer = Writer(self._connect_to_write) if self.is_sqlite else None
        self._reading = (
            self.engine.execution_options(begin=None)
            if self.is_sqlite
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._kept = None if self.is_sqlite else KeptConnections(self._reading, _FRESH_SECONDS)
        self._at_one_moment = (
            self.engine.execution_options(begin="BEGIN")
            if self.is_sqlite
            else self.engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        )

    def write(
        self,
        work: Callable[[Connection], Result],
        *,
        patience_seconds: float = 5,
        first: bool = False,
        at_once: Callable[[Connection], Result | None] | None = None,
    ) -> Result:
        """Run ``work`` in one transaction, and run it again from its start while the database is
        away.

        ``work`` must consist of conditional statements only, since a commit whose answer was lost
        is repeated. On SQLite it runs in the thread that writes for the whole process, and should
        take milliseconds; ``first`` lets it go before all other work that waits there. ``at_once``
        is the same work as a single statement, which PostgreSQL commits in the same round trip. It
        writes everything or nothing, and returns None if it wrote nothing; then, or if its answer
        was lost, ``work`` runs.

        Raises NotBegun if ``work`` was not begun within ``patience_seconds``, LedgerAway if it was
        and may or may not be done, and Unsuitable if a file is damaged.
        """
        if at_once is not None and self._kept is not None:
            asked = time.monotonic()
            done = self._kept.written(at_once, patience_seconds)
            if done is not None:
                return done
            patience_seconds = max(patience_seconds - (time.monotonic() - asked), 0.1)
        deadline = time.monotonic() + patience_seconds
        begun: list[Exception] = []

        def commit() -> Result:
            try:
                return self._committed(work, deadline, first)
            except NotBegun:
                if begun:
                    raise begun[0] from None
                raise
            except (IntegrityError, *AWAY) as error:
                begun[:] = [error]
                raise

        return self._while_away(lambda: _without_collision(commit), patience_seconds)

    def _committed(
        self, work: Callable[[Connection], Result], deadline: float, first: bool
    ) -> Result:
        if self.writer is not None:
            result, after = self.writer.run(work, deadline=deadline, first=first)
        else:
            with self.engine.begin() as connection:
                after = connection.info[AFTER_COMMIT] = []
                result = work(connection)
        for call in after:
            call()
        return result  # type: ignore[no-any-return]

    def _connect_to_write(self) -> Connection:
        """Take a connection for the writer, which keeps it and closes it in the end."""
        connection = self.engine.connect()
        driver: Any = connection.connection.dbapi_connection
        # Only in this mode does a commit wait for no reader.
        if driver.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            driver.execute("PRAGMA busy_timeout = 0")
        return connection

    def read(
        self,
        work: Callable[[Connection], Result],
        *,
        patience_seconds: float = 5,
        at_one_moment: bool = False,
    ) -> Result:
        """Run reading statements outside any transaction, or ``at_one_moment`` in one transaction
        that blocks no other. Raises LedgerAway and Unsuitable.
        """
        engine = self._at_one_moment if at_one_moment else self._reading

        def once() -> Result:
            with engine.connect() as connection:
                return work(connection)

        return self._while_away(once, patience_seconds)

    def _while_away(self, once: Callable[[], Result], patience_seconds: float) -> Result:
        """Call ``once``, and again while the database is away. Raises LedgerAway and Unsuitable."""
        asked_at = self.outages.asked()
        try:
            done = while_away(once, seconds=patience_seconds)
        except AWAY as error:
            self.outages.failed(asked_at)
            raise LedgerAway(_sentence(error)) from None
        except NotBegun:
            self.outages.failed(asked_at)
            raise
        except DatabaseError as error:
            self.outages.ended()
            raise self._readable(error) from None
        except BaseException:
            self.outages.ended()
            raise
        self.outages.answered(asked_at)
        return done

    def time(self) -> float:
        """Return seconds since 1970 by the clock that all processes share. Raises LedgerAway."""
        return self.read(lambda connection: float(connection.execute(select(now())).scalar_one()))

    def durability(self) -> dict[str, str]:
        """Return the settings that decide whether a commit survives a loss of power, as our own
        connections see them: SQLite's pragmas or PostgreSQL's settings, by name. Raises LedgerAway.
        """
        show = "PRAGMA" if self.is_sqlite else "SHOW"
        names = _SQLITE_KEEPS if self.is_sqlite else _POSTGRES_KEEPS

        def work(connection: Connection) -> dict[str, str]:
            values = {name: connection.exec_driver_sql(f"{show} {name}").scalar() for name in names}
            return {name: str(value) for name, value in values.items()}

        return self.read(work)

    def close(self) -> None:
        """Finish the writes that wait, and close every connection."""
        if self.writer is not None:
            self.writer.close()
        if self._kept is not None:
            self._kept.close()
        self.engine.dispose()

    def _readable(self, error: DatabaseError) -> Exception:
        """Return the error, or a readable one for a file that is no database or is damaged. Only
        for these does the driver raise the root of its errors (SQLITE_NOTADB, SQLITE_CORRUPT).
        """
        if not self.is_sqlite or type(error) is not DatabaseError:
            return error
        return Unsuitable(
            f"the ledger's file {self.url.database} is damaged, or is not an SQLite database "
            f"({error.orig}); stop every worker, then restore a backup or rebuild the ledger from "
            "the archive (docs/restore.md)"
        )


def _without_collision(commit: Callable[[], Result]) -> Result:
    """Commit, and again if another transaction inserted the same row meanwhile."""
    for _ in range(_MOST_COLLISIONS):
        try:
            return commit()
        except IntegrityError:
            continue
    return commit()


def _sentence(error: Exception) -> str:
    return f"the ledger does not answer ({cause_of(error)}); it is safe to try again"


def _sqlite(url: str, busy_seconds: float) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_timeout=busy_seconds,
        connect_args={"timeout": busy_seconds},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver's own transactions begin deferred, and a deferred upgrade fails at once with
        # "database is locked", even with a busy_timeout. So we send BEGIN ourselves.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options().get("begin", "BEGIN IMMEDIATE")
        if begin is not None:
            execute_bare(connection, begin)

    return engine


def _postgres(url: str, busy_seconds: float) -> Engine:
    milliseconds = int(busy_seconds * 1000)
    options = (
        f"-c synchronous_commit=on -c lock_timeout={milliseconds} "
        f"-c statement_timeout={max(milliseconds, 5000)} "
        f"-c idle_in_transaction_session_timeout={max(milliseconds, 5000)}"
    )
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=40,
        pool_timeout=busy_seconds,
        connect_args={"connect_timeout": 5, "options": options, **_NOTICES_A_DEAD_HOST},
    )
    # This runs before SQLAlchemy's own first query, which ends with a TypeError if psycopg returns
    # bytes.
    event.listen(engine, "connect", _refuse_encoding, insert=True)
    connect_within(engine, max(busy_seconds, 5.0) + _GRACE_SECONDS)
    _ping_the_idle(engine)
    return engine


def _ping_the_idle(engine: Engine) -> None:
    """Ping a connection of the pool before its use if it was idle for some seconds. A connection
    that was used just now is tried as it is: if it is broken, its statement fails and is repeated.
    """

    @event.listens_for(engine, "checkin")
    def _put_down(_connection: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get(_IDLE_SINCE)
        if since is None or time.monotonic() - since < _FRESH_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None


def _refuse_encoding(connection: Any, _record: Any) -> None:
    """Refuse an encoding other than UTF-8: names and messages use any script, and the first of them
    would fail.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        raise Unsuitable(
            f"the ledger's database {connection.info.dbname} has the encoding {encoding}, but a "
            "ledger needs UTF8; nothing was changed; create another database (createdb "
            "--encoding=UTF8 --template=template0 NAME) and set EARWITNESS_LEDGER_URL to it"
        )
