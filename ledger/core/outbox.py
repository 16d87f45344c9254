"""Obligations: work that follows a change of state. Sweepers retry it until it is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Integer,
    Select,
    case,
    cast,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from .database import Database, now, now_once
from .prepared import Prepared, by_no_index, one_of, parameter
from .schema import obligations

#: 5, 10, 20, ... seconds, at most ten minutes.
_FIRST_SECONDS = 5
_MOST_DOUBLINGS = 7
#: The longest wait.
MOST_WAIT_SECONDS = 600.0

#: The kind that is discharged apart from all others, because its receivers may hang.
WEBHOOK = "webhook"
#: A message to a queue of the caller's own, or to a webhook, which becomes a delivery.
NOTIFY = "notify"
#: A notification for a webhook. It is sent apart from all others, because its receivers may hang.
DELIVERY = "delivery"

#: A new obligation of the same job: its kind and payload.
Owing = tuple[str, dict[str, Any]]
_NOTHING: Mapping[int, Owing] = MappingProxyType({})

#: The most due obligations that take turns: to compare so many takes less than a second.
_MOST_COMPARED = 100_000

#: The seconds until a retry when something that all obligations of a kind need was away.
_AWAY_SECONDS = 10


def wait_seconds(attempts: ColumnElement[int]) -> ColumnElement[float]:
    """Return the wait before the next try, given the number of tries so far."""
    steps = [(attempts == n, _FIRST_SECONDS * 2**n) for n in range(_MOST_DOUBLINGS)]
    return cast(case(*steps, else_=MOST_WAIT_SECONDS), Double)


@dataclass(frozen=True, slots=True)
class Obligation:
    """One thing that is still to be done after a change of state."""

    id: int
    job_id: str
    account: str
    kind: str
    payload: dict[str, Any]
    attempts: int


#: The row of a new obligation.
OBLIGATION: dict[str, Any] = {
    "job_id": parameter("job_id"),
    "account": parameter("account"),
    "kind": parameter("kind"),
    "payload": parameter("payload"),
    "created_at": now(),
    "due_at": now(),
    "attempts": 0,
}
_OWE = Prepared(insert(obligations).values(**OBLIGATION).inline())


def owe(
    connection: Connection, job_id: str, account: str, kind: str, payload: dict[str, Any]
) -> None:
    """Add an obligation, due at once; a handler in tasks/ discharges its kind."""
    _OWE.run(connection, job_id=job_id, account=account, kind=kind, payload=payload)


class Outbox:
    """The pending and the discharged obligations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owe(self, job_id: str, account: str, kind: str, payload: dict[str, Any]) -> None:
        """Add an obligation outside any change of state."""

        def work(connection: Connection) -> bool:
            owe(connection, job_id, account, kind, payload)
            return True

        self._database.write(work, at_once=work)

    def due(
        self,
        *,
        limit: int,
        webhooks: bool = False,
        only: Collection[str] | None = None,
        but: Collection[str] = (),
    ) -> list[Obligation]:
        """Claim up to ``limit`` due obligations, as `in_turn` returns them."""
        ids = self.in_turn(limit=limit, webhooks=webhooks, only=only, but=but)
        return self.claim(ids, webhooks=webhooks)

    def in_turn(
        self,
        *,
        limit: int,
        webhooks: bool = False,
        only: Collection[str] | None = None,
        but: Collection[str] = (),
    ) -> list[int]:
        """Return the ids of up to ``limit`` due obligations: only webhooks, or all others, of which
        ``only`` and ``but`` choose some kinds. Of one cause's webhooks only the oldest is due, so
        that messages about a cause keep their order.

        Kinds share the limit, and so do the destinations within a kind (the queue or webhook of
        a notification, otherwise the account), so that none waits behind obligations that another
        destination refuses. Obligations that were never tried come before retries; otherwise the
        oldest comes first. Of many due obligations, the 100,000 that have been due longest are
        compared.
        """

        def look(connection: Connection) -> list[Any]:
            if webhooks:
                return _WEBHOOKS_IN_TURN.rows(connection, limit=limit)
            if only is None:
                return _OTHERS_IN_TURN.rows(connection, limit=limit, but=list(but))
            return _ONES_IN_TURN.rows(connection, limit=limit, only=list(only))

        return [row.id for row in self._database.read(look)]

    def claim(self, ids: Sequence[int], *, webhooks: bool = False) -> list[Obligation]:
        """Claim those of these obligations that are still due, and return them."""
        if not ids:
            return []

        def claim(connection: Connection) -> Sequence[Obligation]:
            return _CLAIMS[webhooks].rows(connection, ids=list(ids))

        claimed = self._database.write(claim, at_once=claim)
        return sorted(claimed, key=lambda owing: owing.id)

    def discharged(self, ids: Collection[int], owing: Mapping[int, Owing] = _NOTHING) -> None:
        """Mark these obligations as discharged, and in the same transaction add those that follow
        from them, given by their ids.

        Nothing follows from one that was discharged before.
        """

        def work(connection: Connection) -> int:
            rows = _DISCHARGE.rows(connection, ids=list(ids))
            following = [
                {"job_id": row.job_id, "account": row.account, "kind": kind, "payload": payload}
                for row in rows
                if row.id in owing
                for kind, payload in (owing[row.id],)
            ]
            if following:
                connection.execute(_FOLLOW, following)
            return len(rows)

        self._database.write(work, at_once=None if owing else work)

    def failed(self, ids: list[int], reason: str) -> None:
        """Mark these obligations as failed for now, with the reason; they stay due."""
        self._database.write(
            lambda connection: connection.execute(
                update(obligations).where(obligations.c.id.in_(ids)).values(reason=reason)
            )
        )

    def put_off(self, ids: list[int], reason: str) -> None:
        """Postpone these obligations, with the reason, because something that all of them need is
        away. They are due again soon, and this try does not count.
        """
        c = obligations.c
        self._database.write(
            lambda connection: connection.execute(
                update(obligations)
                .where(c.id.in_(ids), c.attempts > 0)
                .values(reason=reason, due_at=now() + _AWAY_SECONDS, attempts=c.attempts - 1)
            )
        )

    def waiting(self) -> list[dict[str, Any]]:
        """Return, by kind, how many obligations are pending, since when, and the latest reason."""
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


def _in_turn(owed: list[ColumnElement[bool]]) -> Select[tuple[int]]:
    """Select the ids of due obligations. Kinds take turns, and so do destinations within a kind."""
    c = obligations.c
    queue = c.payload["queue"].as_string()
    destination = case((c.kind.in_((NOTIFY, DELIVERY)), func.coalesce(queue, "")), else_=c.account)
    tried = case((c.attempts > 0, 1), else_=0)
    due = (
        select(c.id, c.kind, destination.label("destination"), tried.label("tried"))
        .where(*owed)
        .order_by(c.discharged_at, c.due_at)
        .limit(_MOST_COMPARED)
        .subquery()
    ).c
    place = func.row_number().over(
        partition_by=[due.kind, due.destination, due.tried], order_by=due.id
    )
    placed = select(due.id, due.kind, due.tried, place.label("place")).subquery()
    turn = func.row_number().over(
        partition_by=placed.c.kind, order_by=[placed.c.tried, placed.c.place, placed.c.id]
    )
    return select(placed.c.id).order_by(turn, placed.c.id)


def _is_oldest_of_its_cause() -> ColumnElement[bool]:
    """Return the condition that no older webhook of the same cause is pending. All of them are
    grouped once, not looked through for each.
    """
    pending = obligations.alias("pending")
    c = pending.c
    oldest = (
        select(func.min(c.id))
        .where(c.kind == WEBHOOK, c.discharged_at.is_(None))
        .group_by(c.payload["cause"].as_string())
    )
    return obligations.c.id.in_(oldest)


def _due(*, webhooks: bool) -> list[ColumnElement[bool]]:
    c = obligations.c
    kind = [c.kind == WEBHOOK, _is_oldest_of_its_cause()] if webhooks else [c.kind != WEBHOOK]
    return [c.due_at <= now_once(), *kind]


def _turns(*more: ColumnElement[bool], webhooks: bool = False) -> Prepared[Any]:
    """Return the statement that selects due obligations; ``more`` are further conditions."""
    owed = [_PENDING, *_due(webhooks=webhooks), *more]
    return Prepared(_in_turn(owed).limit(parameter("limit", Integer())))


def _claim(*, webhooks: bool) -> ReturningUpdate[Any]:
    c = obligations.c
    return (
        update(obligations)
        .where(*_THESE, *_due(webhooks=webhooks))
        .values(due_at=now() + wait_seconds(c.attempts), attempts=c.attempts + 1)
        .returning(c.id, c.job_id, c.account, c.kind, c.payload, c.attempts)
    )


_PENDING = obligations.c.discharged_at.is_(None)
#: Those of the given ids that are pending.
_THESE = (one_of(obligations.c.id, "ids"), by_no_index(obligations.c.discharged_at).is_(None))
_WEBHOOKS_IN_TURN = _turns(webhooks=True)
_ONES_IN_TURN = _turns(one_of(obligations.c.kind, "only"))
_OTHERS_IN_TURN = _turns(~one_of(obligations.c.kind, "but"))
_CLAIMS = {webhooks: Prepared(_claim(webhooks=webhooks), Obligation) for webhooks in (False, True)}
_DISCHARGE = Prepared(
    update(obligations)
    .where(*_THESE)
    .values(discharged_at=now(), reason=None)
    .returning(obligations.c.id, obligations.c.job_id, obligations.c.account)
)
_FOLLOW = insert(obligations).values(created_at=now(), due_at=now(), attempts=0)
