"""Waiters: the Celery tasks that asked for a job and are owed its outcome under their own ids."""

from __future__ import annotations

from sqlalchemy import exists, select, update

from . import states
from .database import Database, now
from .hints import Hint
from .obligations import wait_seconds
from .schema import jobs, waiters


class Waiters:
    """Who waits for what, and who has been answered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, *, queue: str, limit: int) -> list[Hint]:
        """Claim up to ``limit`` tasks that are owed an answer; each is claimed again, after a wait
        that grows, until it is marked as answered.
        """
        owed = (
            waiters.c.answered_at.is_(None),
            waiters.c.due_at <= now(),
        )
        found = self._database.read(
            lambda connection: connection.execute(
                select(waiters.c.task_id, jobs.c.job_id, jobs.c.kind, jobs.c.account)
                .join(jobs, jobs.c.job_id == waiters.c.job_id)
                .where(*owed, jobs.c.state.in_(states.ENDED))
                .order_by(waiters.c.due_at)
                .limit(limit)
            ).all()
        )
        if not found:
            return []
        claimed = self._database.write(
            lambda connection: set(
                connection.execute(
                    update(waiters)
                    .where(*owed, waiters.c.task_id.in_([row.task_id for row in found]))
                    .values(
                        due_at=now() + wait_seconds(waiters.c.attempts),
                        attempts=waiters.c.attempts + 1,
                    )
                    .returning(waiters.c.task_id)
                ).scalars()
            )
        )
        return [
            Hint(row.job_id, row.kind, row.task_id, queue, 0, row.account)
            for row in found
            if row.task_id in claimed
        ]

    def answered(self, task_id: str) -> None:
        """The outcome was stored under this task id."""
        self._database.write(
            lambda connection: connection.execute(
                update(waiters).where(waiters.c.task_id == task_id).values(answered_at=now())
            )
        )

    def shown_as_waiting(self, task_id: str) -> None:
        """The state RETRY was stored under this task id. Had its job ended in that very moment, it
        would stand over the outcome, so the answer is due again.
        """
        over = exists().where(jobs.c.job_id == waiters.c.job_id, jobs.c.state.in_(states.ENDED))
        self._database.write(
            lambda connection: connection.execute(
                update(waiters)
                .where(waiters.c.task_id == task_id, over)
                .values(answered_at=None, due_at=now())
            )
        )

    def job_of(self, task_id: str) -> str | None:
        """The id of the job that a task asked for, or None."""
        return self._database.read(
            lambda connection: connection.execute(
                select(waiters.c.job_id).where(waiters.c.task_id == task_id)
            ).scalar_one_or_none()
        )
