"""Ledgers that were never used, without a run of the migrations for each."""

from __future__ import annotations

import shutil
import sqlite3
import time
import uuid
from pathlib import Path

from ledger.core.schema import metadata
from ledger.ledger import Ledger


def unused() -> str:
    """SQL that leaves a ledger on PostgreSQL as its first start made it, as another one."""
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    return f"TRUNCATE {tables} RESTART IDENTITY; {_newborn()}"


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
