"""Obligations: what is owed after a change of state, discharged by sweepers without end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    case,
    cast,
    exists,
    func,
    insert,
    select,
    update,
)

from .database import Database, now
from .schema import obligations

#: 5, 10, 20, ... seconds, at most ten minutes.
_FIRST_SECONDS = 5
_MOST_DOUBLINGS = 7
#: No wait is longer.
MOST_WAIT_SECONDS = 600.0

#: The kind that is discharged apart from all others: whoever receives it may hang.
WEBHOOK = "webhook"


def wait_seconds(attempts: ColumnElement[int]) -> ColumnElement[float]:
    """How long until the next try, given how many there were."""
    steps = [(attempts == n, _FIRST_SECONDS * 2**n) for n in range(_MOST_DOUBLINGS)]
    return cast(case(*steps, else_=MOST_WAIT_SECONDS), Double)


@dataclass(frozen=True, slots=True)
class Obligation:
    """One thing owed: an entry in the chain, a notification, an alert."""

    id: int
    job_id: str
    account: str
    kind: str
    payload: dict[str, Any]
    attempts: int


def owe(
    connection: Connection, job_id: str, account: str, kind: str, payload: dict[str, Any]
) -> None:
    """Add an obligation, due at once: of the kind ``chain``, ``receipt``, ``notify``, ``alert``
    or ``webhook``.
    """
    connection.execute(
        insert(obligations).values(
            job_id=job_id,
            account=account,
            kind=kind,
            payload=payload,
            created_at=now(),
            due_at=now(),
            attempts=0,
        )
    )


class Obligations:
    """What is owed, and what was discharged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owe(self, job_id: str, account: str, kind: str, payload: dict[str, Any]) -> None:
        """Add an obligation that no change of state brings with it."""
        self._database.write(lambda connection: owe(connection, job_id, account, kind, payload))

    def due(self, *, limit: int, webhooks: bool = False) -> list[Obligation]:
        """Claim up to ``limit`` obligations that are due, oldest first: webhooks alone, or all
        others. Of the webhooks of one cause only the oldest is due: what is over was said before.
        """
        c = obligations.c
        owed = [c.discharged_at.is_(None), c.due_at <= now()]
        owed += [c.kind == WEBHOOK, ~_older_of_its_cause()] if webhooks else [c.kind != WEBHOOK]
        found = self._database.read(
            lambda connection: list(
                connection.execute(select(c.id).where(*owed).order_by(c.id).limit(limit)).scalars()
            )
        )
        if not found:
            return []
        rows = self._database.write(
            lambda connection: connection.execute(
                update(obligations)
                .where(*owed, c.id.in_(found))
                .values(due_at=now() + wait_seconds(c.attempts), attempts=c.attempts + 1)
                .returning(c.id, c.job_id, c.account, c.kind, c.payload, c.attempts)
            ).all()
        )
        return sorted((Obligation(*row) for row in rows), key=lambda owing: owing.id)

    def discharged(self, ids: list[int]) -> None:
        """These were done."""
        self._database.write(
            lambda connection: connection.execute(
                update(obligations)
                .where(obligations.c.id.in_(ids))
                .values(discharged_at=now(), reason=None)
            )
        )

    def failed(self, ids: list[int], reason: str) -> None:
        """These could not be done now, and why; they stay due."""
        self._database.write(
            lambda connection: connection.execute(
                update(obligations).where(obligations.c.id.in_(ids)).values(reason=reason)
            )
        )

    def unsealed(self, job_ids: list[str]) -> int:
        """How many files of these jobs are not yet under the chain."""
        c = obligations.c
        owed = (c.discharged_at.is_(None), c.kind == "chain", c.job_id.in_(job_ids))
        return self._database.read(
            lambda connection: connection.execute(
                select(func.count()).select_from(obligations).where(*owed)
            ).scalar_one()
        )

    def unchained(self) -> set[str]:
        """The paths of all files that are not yet under the chain."""
        c = obligations.c
        owed = (c.discharged_at.is_(None), c.kind == "chain")
        payloads = self._database.read(
            lambda connection: connection.execute(select(c.payload).where(*owed)).scalars().all()
        )
        return {payload["path"] for payload in payloads}

    def waiting(self) -> list[dict[str, Any]]:
        """How many of each kind are owed, since when, and the latest reason."""
        c = obligations.c
        rows = self._database.read(
            lambda connection: connection.execute(
                select(c.kind, func.count(), func.min(c.created_at), func.max(c.reason))
                .where(c.discharged_at.is_(None))
                .group_by(c.kind)
            ).all()
        )
        return [
            {"kind": kind, "count": count, "oldest": oldest, "reason": reason}
            for kind, count, oldest, reason in rows
        ]


def _older_of_its_cause() -> ColumnElement[bool]:
    older = obligations.alias("older")
    return (
        exists()
        .where(older.c.kind == WEBHOOK, older.c.discharged_at.is_(None))
        .where(older.c.id < obligations.c.id)
        .where(older.c.payload["cause"].as_string() == obligations.c.payload["cause"].as_string())
        .correlate(obligations)
    )
