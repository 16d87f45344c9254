"""Copies of a whole ledger: into an SQLite file while workers run, and from such a file.

A copy holds every row as it was at one moment, whichever database the ledger is on. So it is a
backup, and the way from one database to another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import (
    Connection,
    StaticPool,
    Table,
    create_engine,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from .core.database import Database
from .core.schema import audit, jobs, metadata, obligations
from .errors import NotPossible, SchemaMismatch
from .identity import Identity, newest_version

_BATCH = 1_000
_BUSY_SECONDS = 10.0
#: A large ledger is read for longer than any statement of a job may take.
_PATIENT = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)
#: The tables whose rows the database numbers itself.
_NUMBERED = (audit, obligations)


def write_copy(database: Database, target: Path) -> None:
    """Copy the ledger, as it is at this moment, into a new SQLite file. Workers keep running.

    Raises NotPossible if the file exists or could not be written, and LedgerAway.
    """
    if target.exists():
        raise NotPossible(f"not done: {target} exists; nothing was written; name another place")
    database.time()  # a ledger that is away is told as such
    try:
        if database.is_sqlite:
            with _opened(Path(str(database.url.database)), "rw") as file:
                file.execute("VACUUM INTO ?", (str(target),))
        else:
            _write_rows(database, target)
    except (sqlite3.Error, DBAPIError) as error:
        why = error.orig if isinstance(error, DBAPIError) else error
        raise NotPossible(
            f"not done: the copy could not be written ({why}); check the free space on its disk, "
            "and try again"
        ) from None


def _write_rows(database: Database, target: Path) -> None:
    copy = _file(target)
    snapshot = database.engine.execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    try:
        Identity(copy).migrate()
        with snapshot.connect() as source, copy.engine.begin() as into:
            _empty(into)
            _copy_rows(source, into)
    finally:
        copy.close()
    with _opened(target, "rw") as file:
        file.execute("PRAGMA journal_mode=DELETE")  # one file, and none beside it


def examine(path: Path, *, may_be_in_use: bool = False) -> dict[str, int]:
    """Read a copy from its first byte to its last; return the number of rows of each table.

    A file that ``may_be_in_use`` is read with what SQLite has written beside it. Raises NotPossible
    if SQLite finds the file damaged, or it is no ledger of this version.
    """
    try:
        with _opened(path, "rw" if may_be_in_use else "copy") as file:
            (found,) = file.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise NotPossible(f"not done: {path} is damaged: {found}")
            (version,) = file.execute("SELECT version_num FROM alembic_version").fetchone()
            if version != newest_version():
                raise SchemaMismatch(
                    f"not done: {path} has the schema version {version}, this program needs "
                    f"{newest_version()}; nothing was changed; point EARWITNESS_LEDGER_URL at a "
                    "copy of it and run: earwitness migrate"
                )
            return {
                table.name: int(file.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0])  # noqa: S608 - our own tables
                for table in metadata.sorted_tables
            }
    except (sqlite3.Error, TypeError) as error:
        raise NotPossible(f"not done: {path} is not a copy of a ledger ({error})") from None


def take_copy(database: Database, source: Path, *, is_backup: bool) -> dict[str, int]:
    """Fill an empty ledger from a copy, or from an SQLite ledger that nobody uses any more, in one
    transaction; return the number of rows of each table.

    The ledger has the copy's identity afterwards. Raises NotPossible if the ledger holds anything,
    or the file is no ledger of this version.
    """
    wanted = examine(source, may_be_in_use=not is_backup)
    Identity(database).migrate()
    with _reading(source, "copy" if is_backup else "rw") as rows:

        def work(into: Connection) -> None:
            for statement in () if database.is_sqlite else _PATIENT:
                into.execute(text(statement))
            if into.execute(select(jobs.c.job_id).limit(1)).first() is not None:
                raise NotPossible(
                    "not done: the ledger that EARWITNESS_LEDGER_URL names holds jobs; nothing was "
                    "changed; name an empty database"
                )
            _empty(into)
            _copy_rows(rows, into)
            if not database.is_sqlite:
                _number_on(into)

        database.write(work, patience_seconds=60)
    return wanted


def _file(path: Path) -> Database:
    return Database(f"sqlite:///{path.absolute()}", busy_seconds=_BUSY_SECONDS)


@contextmanager
def _opened(path: Path, how: Literal["copy", "rw"]) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file; a ``copy``, beside which no other file lies, without changing it."""
    mode = "mode=ro&immutable=1" if how == "copy" else "mode=rw"
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # a ledger on SQLite writes in a thread of its own
    )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _reading(path: Path, how: Literal["copy", "rw"]) -> Iterator[Connection]:
    """Read an SQLite file as it is at one moment."""
    with _opened(path, how) as file:
        file.execute("BEGIN")
        engine = create_engine("sqlite://", creator=lambda: file, poolclass=StaticPool)
        with engine.connect() as connection:
            yield connection
        engine.dispose()


def _empty(connection: Connection) -> None:
    """Delete the rows with which a new ledger begins."""
    for table in reversed(metadata.sorted_tables):
        connection.execute(delete(table))


def _copy_rows(source: Connection, into: Connection) -> None:
    if source.dialect.name == "postgresql":
        for statement in _PATIENT:
            source.execute(text(statement))
    for table in metadata.sorted_tables:
        for rows in _batches(source, table):
            into.execute(insert(table), rows)


def _batches(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """Yield the table's rows; a job comes before its parts."""
    wanted = select(table)
    if table is jobs:
        wanted = wanted.order_by(jobs.c.parent_id.is_not(None), jobs.c.created_at)
    found = source.execution_options(yield_per=_BATCH).execute(wanted)
    for rows in found.mappings().partitions(_BATCH):
        # Columns may have another key than name.
        yield [{column.key: row[column] for column in table.columns} for row in rows]


def _number_on(connection: Connection) -> None:
    """Let PostgreSQL number further rows behind those that were copied."""
    for table in _NUMBERED:
        last = connection.execute(select(func.max(table.c.id))).scalar()
        if last is not None:
            connection.execute(
                select(func.setval(func.pg_get_serial_sequence(table.name, "id"), last))
            )


def heads_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return the newest entry of each account's chain that a copy knows: its number and SHA-256."""
    with _opened(path, "copy") as file:
        rows = file.execute("SELECT account, n, sha256 FROM chain_heads ORDER BY account")
        return {account: {"n": n, "sha256": sha256} for account, n, sha256 in rows}


def identity_of(path: Path) -> str:
    """Return the identity of the ledger that a copy is of, as `examine` has found it whole."""
    with _opened(path, "copy") as file:
        return str(file.execute("SELECT identity FROM ledger").fetchone()[0])
