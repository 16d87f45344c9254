"""Waiters: the Celery tasks that wait for a job's outcome under their own ids."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Integer,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)

from . import states
from .database import Database, now, now_once
from .outbox import wait_seconds
from .prepared import Prepared, by_no_index, one_of, parameter
from .schema import jobs, waiters
from .wakeups import Hint

#: The waits between so many attempts add up to a day, for which a result is kept. A caller whose
#: result could not be stored until then asks again, and the ledger answers.
MOST_ANSWERS = 150

_MINE = waiters.c.task_id == parameter("task")
#: The job that a task waits for has ended.
_OVER = exists().where(jobs.c.job_id == waiters.c.job_id, jobs.c.state.in_(states.ENDED))
_ANSWER_AGAIN = Prepared(update(waiters).where(_MINE, _OVER).values(answered_at=None, due_at=now()))
_JOB_OF = Prepared(select(waiters.c.job_id).where(_MINE))
_OWED = (
    # Implied by the next, but PostgreSQL estimates by it how few rows are due.
    waiters.c.due_at.is_not(None),
    waiters.c.due_at <= now_once(),
    waiters.c.attempts < MOST_ANSWERS,
)


def _oldest(which: ColumnElement[bool]) -> Prepared[Any]:
    """Select tasks in the order of the index, so that those beyond the limit are not read.
    (PostgreSQL needs its first column too, although that is NULL in all of them.)
    """
    return Prepared(
        select(waiters.c.task_id, jobs.c.job_id, jobs.c.kind, jobs.c.account)
        .join(jobs, jobs.c.job_id == waiters.c.job_id)
        .where(waiters.c.answered_at.is_(None), *_OWED, which, jobs.c.state.in_(states.ENDED))
        .order_by(waiters.c.answered_at, waiters.c.due_at)
        .limit(parameter("limit", Integer()))
    )


_NEVER_TRIED = _oldest(waiters.c.attempts == 0)
_TRIED = _oldest(waiters.c.attempts > 0)
_CLAIM = Prepared(
    update(waiters)
    .where(one_of(waiters.c.task_id, "tasks"), by_no_index(waiters.c.answered_at).is_(None), *_OWED)
    .values(due_at=now() + wait_seconds(waiters.c.attempts), attempts=waiters.c.attempts + 1)
    .returning(waiters.c.task_id)
)
_SECONDS_AGO = now() - cast(parameter("seconds"), Double)
_ANSWERED = Prepared(
    update(waiters)
    .where(
        one_of(waiters.c.task_id, "tasks"),
        _OVER,
        or_(waiters.c.due_at.is_(None), waiters.c.due_at > now(), waiters.c.due_at <= _SECONDS_AGO),
    )
    .values(answered_at=now())
)


def _found(connection: Connection, limit: int) -> list[Any]:
    rows = _NEVER_TRIED.rows(connection, limit=limit)
    if len(rows) == limit:
        return rows
    return rows + _TRIED.rows(connection, limit=limit - len(rows))


class Waiters:
    """The tasks that wait for jobs, and those that were answered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, *, queue: str, limit: int) -> list[Hint]:
        """Claim up to ``limit`` tasks whose outcome must be stored, never claimed ones first.
        Each is claimed again after a growing wait, for a day, until it is marked as answered.
        """
        found = self._database.read(partial(_found, limit=limit))
        if not found:
            return []
        tasks = [row.task_id for row in found]

        def claim(connection: Connection) -> set[str]:
            return {row.task_id for row in _CLAIM.rows(connection, tasks=tasks)}

        claimed = self._database.write(claim, at_once=claim)
        return [
            Hint(row.job_id, row.kind, row.task_id, queue, 0, row.account)
            for row in found
            if row.task_id in claimed
        ]

    def unanswerable(self) -> int:
        """Return how many tasks got no answer within a day and are not answered any more."""
        wanted = (
            select(func.count())
            .select_from(waiters)
            .where(waiters.c.answered_at.is_(None), waiters.c.attempts >= MOST_ANSWERS)
        )
        return self._database.read(lambda connection: connection.execute(wanted).scalar_one())

    def mark_answered(self, *task_ids: str, seconds: float = 0) -> None:
        """Mark the outcomes as stored under these task ids, at most ``seconds`` ago.

        While the job goes on, a result under its id was not its outcome: a message that was refused
        may have had the same id. An answer that became due since the outcome was stored stays due:
        RETRY may have been stored over the outcome.
        """

        def work(connection: Connection) -> int:
            return _ANSWERED.run(connection, tasks=list(task_ids), seconds=seconds)

        self._database.write(work, at_once=work)

    def note_retry_shown(self, task_id: str) -> None:
        """Note that the state RETRY was stored under this task id. If the job ended at that moment,
        RETRY would hide the outcome, so the answer becomes due again.
        """
        self._run(_ANSWER_AGAIN, task_id)

    def _run(self, statement: Prepared[Any], task_id: str) -> None:
        def work(connection: Connection) -> int:
            return statement.run(connection, task=task_id)

        self._database.write(work, at_once=work)

    def job_of(self, task_id: str) -> str | None:
        """Return the id of the job that a task asked for, or None."""
        job_id: str | None = self._database.read(
            lambda connection: _JOB_OF.value(connection, task=task_id)
        )
        return job_id
