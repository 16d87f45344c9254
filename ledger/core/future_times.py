"""Times further ahead than any correct time: a clock that was ahead wrote them.

On SQLite the ledger uses the clock of its machine. If that clock is an hour ahead, every lease and
every due time written then lies an hour in the future once the clock is right again. The same holds
for times written just before a clock is set back. Each such time has a known maximum and is brought
back to it. A lease is cut to a full lease from now rather than ended: a live holder renews it long
before that, and a dead holder is noticed one lease later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, case, select, update

from . import states
from .database import Database, now, now_once
from .job import DUE
from .outbox import MOST_WAIT_SECONDS
from .prepared import by_no_index
from .queue_names import in_any_queue
from .schema import accounts, jobs, obligations, waiters

#: The most by which two servers of one database, or the steps of a clock's correction, may differ.
_SLACK_SECONDS = 10.0
#: A job that was never claimed is due at once, or a sweep later if no slot was free.
_PENDING_SECONDS = 60.0
#: A provider may ask for a pause of a day, and a job may wait for a day that is not over.
_LONGEST_SECONDS = 2 * 86_400.0
#: A provider's longest pause.
_REST_SECONDS = 86_400.0
#: A worker that renews a token has half of the account's ``timeout_seconds`` for the renewal.
_RENEWAL_SECONDS = 300.0

#: How many rows one transaction corrects.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class FutureTime:
    """A time that lies too far ahead.

    ``what`` names the time, ``name`` its row (a job's id, a task's id, an account), and ``seconds``
    how far it lies in the future.
    """

    what: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Rule:
    """A column, the condition under which its time ``is_wrong``, and the ``right`` values for such
    rows.
    """

    what: str
    column: Column[Any]
    is_wrong: ColumnElement[bool]
    right: dict[str, Any]


#: The column by which people know a table's rows.
_NAMES = {
    jobs: jobs.c.job_id,
    waiters: waiters.c.task_id,
    obligations: obligations.c.job_id,
    accounts: accounts.c.alias,
}


class FutureTimes:
    """Finds times that lie too far ahead, and corrects them.

    Parameters: ``lease_seconds``, how far ahead a lease lies when it is written.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._rules = tuple(_rules(lease_seconds))
        self._turns = cycle(self._rules)

    def found(self) -> list[FutureTime]:
        """Return every such time in the ledger; change nothing."""
        return self._found(self._rules)

    def mend(self) -> list[FutureTime]:
        """Reset each to its maximum, and due times to now; return what was corrected."""
        return self._mend(self._rules)

    def mend_in_turn(self) -> list[FutureTime]:
        """Do the same for the times of one kind, each call for the next kind.

        One kind is found only by reading every waiting job.
        """
        return self._mend([next(self._turns)])

    def _mend(self, rules: Sequence[_Rule]) -> list[FutureTime]:
        found = self._found(rules)
        wanted = {one.what for one in found}
        wrong = [rule for rule in rules if rule.what in wanted]
        for rule in wrong:
            while self._database.write(partial(_mend_some, rule=rule)) == _AT_ONCE:
                pass
        return found

    def _found(self, rules: Sequence[_Rule]) -> list[FutureTime]:
        return self._database.read(
            lambda connection: [one for rule in rules for one in _found(connection, rule)]
        )


def _rules(lease_seconds: float) -> Iterator[_Rule]:
    yield from _of_jobs(lease_seconds)
    yield from _of_what_is_due()
    yield from _of_accounts()


def _of_jobs(lease_seconds: float) -> Iterator[_Rule]:
    j = jobs.c
    held = j.state.in_((states.RUNNING, states.SENDING))
    late = and_(held, _beyond(j.lease_until, lease_seconds))
    yield _Rule("the lease of job", j.lease_until, late, {"lease_until": now() + lease_seconds})

    due_now = {"next_attempt_at": now(), "hinted_at": None}
    starts_late = and_(in_any_queue(), _beyond(j.next_attempt_at, _PENDING_SECONDS))
    never_tried = and_(j.state == states.PENDING, starts_late)
    yield _Rule("the start of job", j.next_attempt_at, never_tried, due_now)

    # A job's first due time is chosen by its caller and may lie arbitrarily far ahead.
    named = and_(j.attempts == 0, j.work[DUE].as_string().is_not(None))
    waits = and_(j.state == states.WAITING, ~named)
    # Two rules, since each of the two times has an index of its own. SQLite searches an index for
    # one bound alone.
    was_written = _beyond(j.updated_at)
    is_far = and_(in_any_queue(), _beyond(j.next_attempt_at, _LONGEST_SECONDS), ~was_written)
    yield _Rule("the next attempt of job", j.next_attempt_at, and_(waits, is_far), due_now)
    waits_too = and_(by_no_index(j.state) == states.WAITING, _beyond(j.next_attempt_at), ~named)
    yield _Rule("the next attempt of job", j.next_attempt_at, and_(waits_too, was_written), due_now)

    is_later = j.next_attempt_at > j.not_after + _SLACK_SECONDS
    too_late = and_(waits, _beyond(j.next_attempt_at), is_later)
    last = {**due_now, "next_attempt_at": case((j.not_after > now(), j.not_after), else_=now())}
    yield _Rule("the last attempt of job", j.next_attempt_at, too_late, last)

    # The hint of a job that is not due holds up nothing yet.
    is_due = and_(j.state.in_(states.OPEN), in_any_queue(), j.next_attempt_at <= now_once())
    hinted = and_(is_due, _beyond(j.hinted_at))
    yield _Rule("the hint of job", j.hinted_at, hinted, {"hinted_at": None})


def _of_what_is_due() -> Iterator[_Rule]:
    w, o, due_now = waiters.c, obligations.c, {"due_at": now()}
    unanswered = and_(w.answered_at.is_(None), _beyond(w.due_at, MOST_WAIT_SECONDS))
    yield _Rule("the answer to task", w.due_at, unanswered, due_now)
    pending = and_(o.discharged_at.is_(None), _beyond(o.due_at, MOST_WAIT_SECONDS))
    yield _Rule("the outbox entry of job", o.due_at, pending, due_now)


def _of_accounts() -> Iterator[_Rule]:
    a = accounts.c
    renewing = and_(a.renewal.is_not(None), _beyond(a.renewal_until, _RENEWAL_SECONDS))
    until = {"renewal_until": now() + _RENEWAL_SECONDS}
    yield _Rule("the renewal of the token of account", a.renewal_until, renewing, until)
    resting = _beyond(a.postponed_until, _REST_SECONDS)
    awake = {"postponed_until": None, "postponed_because": None}
    yield _Rule("the pause of account", a.postponed_until, resting, awake)


def _beyond(column: Column[Any], most_seconds: float = 0.0) -> ColumnElement[bool]:
    """Return the condition that a time lies further ahead than its maximum."""
    return column > now_once() + (most_seconds + _SLACK_SECONDS)


def _found(connection: Connection, rule: _Rule) -> list[FutureTime]:
    rows = connection.execute(
        select(_NAMES[rule.column.table].label("name"), (rule.column - now()).label("ahead")).where(
            rule.is_wrong
        )
    )
    return [FutureTime(rule.what, row.name, row.ahead) for row in rows]


def _mend_some(connection: Connection, rule: _Rule) -> int:
    """Correct the times of a bounded number of rows, which then are right; return how many."""
    table = rule.column.table
    (key,) = table.primary_key.columns
    some = select(key).where(rule.is_wrong).limit(_AT_ONCE).scalar_subquery()
    return connection.execute(update(table).where(key.in_(some)).values(**rule.right)).rowcount
