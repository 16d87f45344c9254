"""What happened over a span of time, for reports to people. Times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    case,
    cast,
    func,
    select,
)

from .alerts import EVERY_ACCOUNT
from .core import states
from .core.database import Database
from .core.job import COLUMNS, Job
from .core.schema import alerts, audit, call_days, chain_heads, jobs

#: How many ids one statement names.
_AT_ONCE = 500
_UNFINISHED = (states.PENDING, states.WAITING, states.RUNNING, states.SENDING)
_VERIFICATION = "archive.verify"


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision about a certified call: the job afterwards, when, by whom and why."""

    job: Job
    at: float
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The open jobs of one kind and account in one state, and the earliest next attempt."""

    account: str
    kind: str
    state: str
    jobs: int
    next_attempt_at: float | None


class History:
    """Reads a span of the ledger and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decisions(self, begin: float, end: float, account: str | None = None) -> list[Decision]:
        """Return the decisions that people made from ``begin`` up to ``end``, oldest first."""

        def look(connection: Connection) -> list[Decision]:
            # The audit has no index on time, but its ids grow with it.
            first, last = (_first_id(connection, at) for at in (begin, end))
            wanted: Select[Any] = (
                select(*COLUMNS, audit.c.at, audit.c.by, audit.c.why)
                .join(jobs, jobs.c.job_id == audit.c.job_id)
                .where(audit.c.id >= first, audit.c.id < last)
                .where(audit.c.from_state == states.NEEDS_DECISION)
                .where(audit.c.to_state.in_((states.DONE, states.FAILED)))
                .order_by(audit.c.id)
            )
            if account is not None:
                wanted = wanted.where(jobs.c.account == account)
            return [
                Decision(Job.of(row), row.at, row.by, row.why) for row in connection.execute(wanted)
            ]

        return self._database.read(look)

    def alerts(self, begin: float, account: str | None = None) -> list[dict[str, Any]]:
        """Return the alerts that are open, or were closed at ``begin`` or later, newest first."""
        c = alerts.c
        wanted = (
            select(*c)
            .where(c.closed_at.is_(None) | (c.closed_at >= begin))
            .order_by(c.closed_at.is_not(None), c.opened_at.desc(), c.cause)
        )
        if account is not None:
            wanted = wanted.where(c.account.in_((account, EVERY_ACCOUNT)))
        return self._database.read(
            lambda connection: [dict(row._mapping) for row in connection.execute(wanted)]  # noqa: SLF001
        )

    def certified_calls(self, first: date, last: date) -> list[Row[Any]]:
        """Return rows of account, day and calls: how many certified calls each day counts."""
        c = call_days.c
        wanted = (
            select(c.account, c.day, c.calls)
            .where(c.day >= first, c.day <= last)
            .order_by(c.account, c.day)
        )
        return self._database.read(lambda connection: list(connection.execute(wanted)))

    def waiting(self) -> list[Waiting]:
        """Return how many jobs are open, by account, kind and state."""
        c = jobs.c
        wanted = (
            select(
                c.account,
                c.kind,
                c.state,
                func.count().label("jobs"),
                func.min(case((c.state == states.WAITING, c.next_attempt_at))).label("next"),
            )
            .where(c.state.in_(_UNFINISHED))
            .group_by(c.account, c.kind, c.state)
            .order_by(c.account, c.kind, c.state)
        )
        return self._database.read(
            lambda connection: [Waiting(*row) for row in connection.execute(wanted)]
        )

    def stored_bytes(self, parents: Iterable[str]) -> dict[str, int]:
        """Return, by parent job, how many bytes its parts have stored.

        A part that stores one file says so in its result, and one that stores many in its work.
        """
        size = func.coalesce(_number(jobs.c.result), _number(jobs.c.work))
        wanted = (
            select(jobs.c.parent_id, func.sum(size))
            .where(jobs.c.state == states.DONE)
            .group_by(jobs.c.parent_id)
        )
        names = sorted(set(parents))

        def look(connection: Connection) -> dict[str, int]:
            found: dict[str, int] = {}
            for first in range(0, len(names), _AT_ONCE):
                some = names[first : first + _AT_ONCE]
                for parent, total in connection.execute(wanted.where(jobs.c.parent_id.in_(some))):
                    found[parent] = int(total or 0)
            return found

        return self._database.read(look)

    def last_verification(self) -> Job | None:
        """Return the verification of the whole archive that ended last, or None."""
        c = jobs.c
        wanted = (
            select(*COLUMNS)
            .where(c.account == EVERY_ACCOUNT, c.kind == _VERIFICATION, c.state.in_(states.ENDED))
            .order_by(c.updated_at.desc())
            .limit(1)
        )

        def look(connection: Connection) -> Job | None:
            row = connection.execute(wanted).first()
            return None if row is None else Job.of(row)

        return self._database.read(look)

    def chain_heads(self) -> list[Row[Any]]:
        """Return rows of account, n, sha256 and noted_at: the newest entry of each chain."""
        wanted = select(chain_heads).order_by(chain_heads.c.account)
        return self._database.read(lambda connection: list(connection.execute(wanted)))


def _number(column: Column[Any]) -> ColumnElement[int]:
    return cast(column["bytes"].as_string(), BigInteger)


def _first_id(connection: Connection, at: float) -> int:
    """Return the id of the first audit entry at this time or later, found by bisection."""
    low, high = 0, connection.execute(select(func.max(audit.c.id))).scalar_one() or 0
    while low <= high:
        middle = (low + high) // 2
        found = connection.execute(
            select(audit.c.id, audit.c.at).where(audit.c.id >= middle).order_by(audit.c.id).limit(1)
        ).first()
        if found is None or found.at >= at:
            high = middle - 1
        else:
            low = int(found.id) + 1
    return low
