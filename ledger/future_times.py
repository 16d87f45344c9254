"""Times that lie further ahead than any that is written: a clock that was ahead wrote them.

On SQLite the ledger goes by the clock of its machine. While that is an hour ahead, every lease and
every due time that is written lies an hour in the future once the clock is right again, and so does
what was written just before a clock is set back. Each of them has a known maximum, and is brought
back to it. A lease is cut to a whole one from now rather than ended: a holder that lives renews it
long before that, and one that is dead is noticed a lease later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, and_, case, or_, select, update

from . import states
from .database import Database, now
from .job import DUE
from .obligations import MOST_WAIT_SECONDS
from .schema import accounts, jobs, obligations, waiters

#: What two servers of one database, or the steps by which a clock is kept right, may differ.
_SLACK_SECONDS = 10.0
#: A job that was never taken up is due at once, or a sweep later where no slot was free.
_PENDING_SECONDS = 60.0
#: A provider may ask for a day's rest, and a day that is not over is waited for.
_LONGEST_SECONDS = 2 * 86_400.0
#: A provider's longest rest.
_REST_SECONDS = 86_400.0
#: A worker that renews a token has half of the account's ``timeout_seconds`` for it.
_RENEWAL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class FutureTime:
    """A time that lies too far ahead: ``what`` it is, of which row (``name``: a job's id, a task's
    id, an account), and by how many ``seconds`` it lies in the future.
    """

    what: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Rule:
    what: str
    table: Table
    name: Column[Any]
    column: Column[Any]
    is_wrong: ColumnElement[bool]
    right: dict[str, Any]


class FutureTimes:
    """Finds times that lie too far ahead, and mends them.

    Parameters: ``lease_seconds``, how far ahead a lease lies when it is written.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._rules = _rules(lease_seconds)

    def found(self) -> list[FutureTime]:
        """Return every such time in the ledger; change nothing."""
        return self._database.read(
            lambda connection: [one for rule in self._rules for one in _found(connection, rule)]
        )

    def mend(self) -> list[FutureTime]:
        """Bring each back to its maximum, and due times to now. Return what was mended."""
        found = self.found()
        wanted = {one.what for one in found}
        rules = [rule for rule in self._rules if rule.what in wanted]
        if rules:
            self._database.write(lambda connection: _mend(connection, rules))
        return found


def _rules(lease_seconds: float) -> Sequence[_Rule]:
    j, w, o, a = jobs.c, waiters.c, obligations.c, accounts.c
    due_now = {"next_attempt_at": now(), "hinted_at": None}
    never_tried = and_(j.state == states.PENDING, _beyond(j.next_attempt_at, _PENDING_SECONDS))
    # For the first time a job may wait for a moment that its caller named, however far it is.
    named = and_(j.attempts == 0, j.work[DUE].as_string().is_not(None))
    waits = and_(j.state == states.WAITING, ~named, _beyond(j.next_attempt_at))
    tried = or_(_beyond(j.updated_at), _beyond(j.next_attempt_at, _LONGEST_SECONDS))
    too_late = j.next_attempt_at > j.not_after + _SLACK_SECONDS
    at_not_after = case((j.not_after > now(), j.not_after), else_=now())
    held = j.state.in_((states.RUNNING, states.SENDING))
    asked = j.state.in_(states.OPEN)
    until = {"lease_until": now() + lease_seconds}
    renewing = {"renewal_until": now() + _RENEWAL_SECONDS}
    rested = {"postponed_until": None, "postponed_because": None}
    return (
        _Rule(
            "the lease of job",
            jobs,
            j.job_id,
            j.lease_until,
            and_(held, _beyond(j.lease_until, lease_seconds)),
            until,
        ),
        _Rule("the start of job", jobs, j.job_id, j.next_attempt_at, never_tried, due_now),
        _Rule(
            "the next attempt of job",
            jobs,
            j.job_id,
            j.next_attempt_at,
            and_(waits, tried),
            due_now,
        ),
        _Rule(
            "the last attempt of job",
            jobs,
            j.job_id,
            j.next_attempt_at,
            and_(waits, too_late),
            {"next_attempt_at": at_not_after, "hinted_at": None},
        ),
        _Rule(
            "the hint of job",
            jobs,
            j.job_id,
            j.hinted_at,
            and_(asked, _beyond(j.hinted_at)),
            {"hinted_at": None},
        ),
        _Rule(
            "the answer to task",
            waiters,
            w.task_id,
            w.due_at,
            and_(w.answered_at.is_(None), _beyond(w.due_at, MOST_WAIT_SECONDS)),
            {"due_at": now()},
        ),
        _Rule(
            "an obligation of job",
            obligations,
            o.job_id,
            o.due_at,
            and_(o.discharged_at.is_(None), _beyond(o.due_at, MOST_WAIT_SECONDS)),
            {"due_at": now()},
        ),
        _Rule(
            "the renewal of the token of account",
            accounts,
            a.alias,
            a.renewal_until,
            and_(a.renewal.is_not(None), _beyond(a.renewal_until, _RENEWAL_SECONDS)),
            renewing,
        ),
        _Rule(
            "the rest of account",
            accounts,
            a.alias,
            a.postponed_until,
            _beyond(a.postponed_until, _REST_SECONDS),
            rested,
        ),
    )


def _beyond(column: Column[Any], most_seconds: float = 0.0) -> ColumnElement[bool]:
    """Whether a time lies further ahead than its maximum."""
    return column > now() + (most_seconds + _SLACK_SECONDS)


def _found(connection: Connection, rule: _Rule) -> list[FutureTime]:
    rows = connection.execute(
        select(rule.name.label("name"), (rule.column - now()).label("ahead")).where(rule.is_wrong)
    )
    return [FutureTime(rule.what, row.name, row.ahead) for row in rows]


def _mend(connection: Connection, rules: Sequence[_Rule]) -> None:
    for rule in rules:
        connection.execute(update(rule.table).where(rule.is_wrong).values(**rule.right))
