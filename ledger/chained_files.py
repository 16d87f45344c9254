"""The files that a ledger put under the chains of its accounts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from .core.database import Database
from .core.schema import jobs, obligations


@dataclass(frozen=True, slots=True)
class Chained:
    """A file under the chain: its path and its SHA-256."""

    id: int
    job_id: str
    path: str
    sha256: str


def newest(database: Database, accounts: Collection[str]) -> dict[str, Chained]:
    """Return, by account, the last file that the ledger put under the account's chain.

    The obligations of all accounts are read once, and not at all if none of these accounts has a
    job.
    """
    o = obligations.c
    last = (
        select(func.max(o.id))
        .where(o.kind == "chain", o.discharged_at.is_not(None))
        .group_by(o.account)
    )
    wanted = select(o.account, o.id, o.job_id, o.payload).where(o.id.in_(last))

    def work(connection: Connection) -> dict[str, Chained]:
        if not any(_has_job(connection, account) for account in accounts):
            return {}
        rows = connection.execute(wanted).all()
        return {row.account: _of(row) for row in rows if row.account in accounts}

    return database.read(work)


def page(database: Database, account: str, before: int | None, limit: int) -> list[Chained]:
    """Return files under an account's chain, newest first. ``before`` is the ``id`` of the last
    file on the previous page.
    """
    c = obligations.c
    wanted = (
        select(c.id, c.job_id, c.payload)
        .where(c.account == account, c.kind == "chain", c.discharged_at.is_not(None))
        .order_by(c.id.desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(c.id < before)
    rows = database.read(lambda connection: connection.execute(wanted).all())
    return [_of(row) for row in rows]


def _of(row: Any) -> Chained:
    return Chained(row.id, row.job_id, row.payload["path"], row.payload["sha256"])


def _has_job(connection: Connection, account: str) -> bool:
    wanted = select(jobs.c.job_id).where(jobs.c.account == account).limit(1)
    return connection.execute(wanted).first() is not None
