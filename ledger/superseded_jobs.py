"""Jobs whose work a later retry has done again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from .core import states
from .core.database import Database
from .core.prepared import by_no_index
from .core.schema import jobs

#: The most rows that one statement names.
_AT_ONCE = 500
#: The account and the kind of jobs.
Alike = tuple[str, str]


def superseded(database: Database, job_ids: Collection[str]) -> set[str]:
    """Return those of the jobs whose work a later retry has done again.

    The retries of an account and a kind are read once, however many of the jobs are theirs.
    """

    def work(connection: Connection) -> set[str]:
        by_alike: dict[Alike, list[Any]] = {}
        for row in _rows(connection, sorted(job_ids)):
            by_alike.setdefault((row.account, row.kind), []).append(row)
        found: set[str] = set()
        for alike, rows in by_alike.items():
            done = _retries_done(connection, alike)
            found.update(
                row.job_id for row in rows if done.get(row.fingerprint, 0.0) > row.created_at
            )
        return found

    return database.read(work)


def _rows(connection: Connection, names: list[str]) -> Iterator[Any]:
    c = jobs.c
    wanted = select(c.job_id, c.account, c.kind, c.fingerprint, c.created_at)
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        yield from connection.execute(wanted.where(c.job_id.in_(some))).all()


def _retries_done(connection: Connection, alike: Alike) -> dict[str, float]:
    """Return when the newest successful retry of each work was opened, by fingerprint."""
    account, kind = alike
    c = jobs.c
    wanted = (
        select(c.fingerprint, func.max(c.created_at).label("newest"))
        .where(c.account == account, c.kind == kind, by_no_index(c.state) == states.DONE)
        .where(c.request_id.like("%#%"))
        .group_by(c.fingerprint)
    )
    return {row.fingerprint: row.newest for row in connection.execute(wanted)}
