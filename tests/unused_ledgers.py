"""Ledgers that were never used, without a run of the migrations for each."""

from __future__ import annotations

import shutil
import sqlite3
import time
import uuid
from pathlib import Path

from ledger.core.schema import metadata
from ledger.ledger import Ledger

#: From so many bytes on, tables are made anew, as to delete many rows takes long and leaves them.
_LARGE_BYTES = 1_000_000


def unused() -> str:
    """SQL that leaves a ledger on PostgreSQL as its first start made it, as another one.

    To delete the few rows of most tests takes a twentieth of the time of TRUNCATE.
    """
    tables = metadata.sorted_tables
    names = ", ".join(table.name for table in tables)
    sizes = " + ".join(f"pg_relation_size('{table.name}')" for table in tables)
    deleted = [f"DELETE FROM {table.name};" for table in reversed(tables)]
    numbers = [
        f"PERFORM setval(pg_get_serial_sequence('{table.name}', '{column.name}'), 1, false);"
        for table in tables
        if (column := table.autoincrement_column) is not None
    ]
    return f"""DO $$ BEGIN
        IF {sizes} > {_LARGE_BYTES} THEN TRUNCATE {names} RESTART IDENTITY;
        ELSE {" ".join(deleted + numbers)}
        END IF;
    END $$; {_newborn()}"""


def copy(template: Path, path: Path) -> None:
    """Put a ledger of its own at ``path``, from one that was closed unused, or is to be made."""
    if not template.exists():
        ledger = Ledger(f"sqlite:///{template}")
        ledger.identity.prepare()
        ledger.close()
    shutil.copyfile(template, path)
    connection = sqlite3.connect(path)
    connection.executescript(f"DELETE FROM ledger; {_newborn()}")
    connection.close()


def _newborn() -> str:
    return (
        "INSERT INTO ledger (identity, created_at, quarantined) "
        f"VALUES ('{uuid.uuid4()}', {time.time()}, false)"
    )
