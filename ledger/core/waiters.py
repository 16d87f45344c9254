"""Waiters: the Celery tasks that wait for a job's outcome under their own ids."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    null,
    or_,
    select,
    update,
)

from ledger.errors import NoSuchJob

from . import states
from .database import Database, now, now_once
from .job import COLUMNS, DAY_COLUMN, Job
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
_CARRIES = or_(waiters.c.envelope.is_not(None), waiters.c.canvas.is_not(None))
_HINTED = Prepared(
    select(*COLUMNS, waiters.c.job_id.label("asked_for"), _CARRIES.label("carries"))
    .select_from(jobs.outerjoin(waiters, _MINE))
    .where(jobs.c.job_id == parameter("job")),
    lambda *row: (Job(*row[:-2]), Waiting(row[-2], bool(row[-1]))),
)
_CANVAS = Prepared(select(waiters.c.canvas).where(_MINE))
_WITHOUT_CANVAS = Prepared(update(waiters).where(_MINE).values(canvas=null(), due_at=now()))
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
        select(
            *(waiters.c.task_id, jobs.c.job_id, jobs.c.kind, jobs.c.account, jobs.c.request_id),
            DAY_COLUMN,
        )
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
    .returning(waiters.c.task_id, waiters.c.envelope)
)
_SECONDS_AGO = now() - cast(parameter("seconds"), Double)
_ANSWERED = Prepared(
    update(waiters)
    .where(
        one_of(waiters.c.task_id, "tasks"),
        _OVER,
        or_(waiters.c.due_at.is_(None), waiters.c.due_at > now(), waiters.c.due_at <= _SECONDS_AGO),
    )
    # The answer has fired what the message carried, which may be personal: it is needed no more.
    .values(answered_at=now(), envelope=null(), canvas=null())
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The job that a task waits for, None if it waits for none, and whether its message carried
    anything that its answer must have.
    """

    job_id: str | None
    carries: bool


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
        claimed = self._claim([row.task_id for row in found])
        return [
            Hint(
                *(row.job_id, row.kind, row.task_id, queue, 0),
                *(row.account, row.request_id, row.day, claimed[row.task_id]),
            )
            for row in found
            if row.task_id in claimed
        ]

    def answer(self, job: Job, task_id: str, *, queue: str) -> Hint | None:
        """Claim one task of a job that has ended; return None if its answer is not due."""
        claimed = self._claim([task_id])
        if task_id not in claimed:
            return None
        hint = Hint.of(job, 0)
        return replace(hint, task_id=task_id, queue=queue, envelope=claimed[task_id])

    def _claim(self, tasks: list[str]) -> dict[str, dict[str, Any] | None]:
        """Claim those of the tasks that are due; return their envelopes by their ids."""

        def claim(connection: Connection) -> dict[str, Any]:
            return {row.task_id: row.envelope for row in _CLAIM.rows(connection, tasks=tasks)}

        return self._database.write(claim, at_once=claim)

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

        While the job continues, a result under its id was not its outcome: a message that was
        refused may have had the same id. An answer that became due since the outcome was stored
        stays due: RETRY may have been stored over the outcome.
        """

        def work(connection: Connection) -> int:
            return _ANSWERED.run(connection, tasks=list(task_ids), seconds=seconds)

        self._database.write(work, at_once=work)

    def drop_canvas(self, task_id: str) -> None:
        """Let a task be answered without what its message was to fire, which cannot be sent."""
        self._run(_WITHOUT_CANVAS, task_id)

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

    def hinted(self, job_id: str, task_id: str) -> tuple[Job, Waiting]:
        """Return the job of a hint, and what the hint's task waits for. Raises NoSuchJob."""
        found = self._database.read(
            lambda connection: _HINTED.row(connection, job=job_id, task=task_id)
        )
        if found is None:
            raise NoSuchJob(f"not done: no job has the id {job_id}")
        return found

    def canvas(self, task_id: str) -> dict[str, Any] | None:
        """Return what the answer of a task has to fire; None if there is nothing, or no more."""
        canvas: dict[str, Any] | None = self._database.read(
            lambda connection: _CANVAS.value(connection, task=task_id)
        )
        return canvas
