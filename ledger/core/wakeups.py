"""Hints: messages that a job may be due. The row decides, so a hint may be lost or doubled."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, or_, select, update

from . import states
from .database import Database, now
from .opening import next_hint
from .schema import jobs, queues


@dataclass(frozen=True, slots=True)
class Hint:
    """A message to publish: the job and its account, the task's name and id, and the queue."""

    job_id: str
    kind: str
    task_id: str
    queue: str
    number: int
    account: str


class Wakeups:
    """The jobs that are due and not yet announced."""

    def __init__(self, database: Database, patience_seconds: float) -> None:
        self._database = database
        self._patience_seconds = patience_seconds

    def due(self, queue: str, *, room: int, queue_is_empty: bool) -> list[Hint]:
        """Claim up to ``room`` due jobs of a queue for publishing, oldest first, in one statement.

        An announced job is claimed again only when its hint counts as lost: the hint is older than
        the patience, and either its queue is empty or a later hint was consumed.
        """
        if room <= 0 or not self._any_due(queue, queue_is_empty):
            return []
        return self._database.write(
            lambda connection: self._claim(connection, queue, room, queue_is_empty)
        )

    def put_back(self, job_id: str, *, seconds: float) -> None:
        """Announce the job again in ``seconds``: its hint met a worker without a free slot."""
        self._database.write(
            lambda connection: connection.execute(
                update(jobs)
                .where(jobs.c.job_id == job_id, jobs.c.state.in_(states.OPEN))
                .where(jobs.c.next_attempt_at <= now())
                .values(hinted_at=None, next_attempt_at=now() + seconds)
            )
        )

    def _any_due(self, queue: str, queue_is_empty: bool) -> bool:
        # Most rounds find nothing, and on SQLite a mere read must not take the writers' lock.
        found = self._database.read(
            lambda connection: connection.execute(
                select(jobs.c.job_id).where(*self._due(connection, queue, queue_is_empty)).limit(1)
            ).first()
        )
        return found is not None

    def _due(self, connection: Connection, queue: str, queue_is_empty: bool) -> tuple:  # type: ignore[type-arg]
        taken_no = (
            connection.execute(
                select(queues.c.taken_no).where(queues.c.queue == queue)
            ).scalar_one_or_none()
            or 0
        )
        overdue = jobs.c.hinted_at < now() - self._patience_seconds
        lost = overdue if queue_is_empty else and_(overdue, jobs.c.hint_no < taken_no)
        return (
            jobs.c.state.in_(states.OPEN),
            jobs.c.queue == queue,
            jobs.c.next_attempt_at <= now(),
            or_(jobs.c.hinted_at.is_(None), lost),
        )

    def _claim(
        self, connection: Connection, queue: str, room: int, queue_is_empty: bool
    ) -> list[Hint]:
        wanted = (
            select(jobs.c.job_id)
            .where(*self._due(connection, queue, queue_is_empty))
            .order_by(jobs.c.next_attempt_at)
            .limit(room)
            .with_for_update(skip_locked=True)
        )
        number = next_hint(connection, queue)
        rows = connection.execute(
            update(jobs)
            .where(jobs.c.job_id.in_(wanted.scalar_subquery()))
            .values(hinted_at=now(), hint_no=number)
            .returning(jobs.c.job_id, jobs.c.kind, jobs.c.task_id, jobs.c.account)
        )
        return [Hint(row.job_id, row.kind, row.task_id, queue, number, row.account) for row in rows]
