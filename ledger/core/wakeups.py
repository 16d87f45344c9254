"""Hints: messages that a job may be due. The row decides, so a hint may be lost or doubled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Integer,
    Select,
    and_,
    func,
    or_,
    select,
    union_all,
    update,
)

from . import held, states
from .database import Database, now, now_once
from .job import DAY_COLUMN, Job
from .opening import next_hint
from .prepared import Prepared, parameter
from .schema import jobs, queues


@dataclass(frozen=True, slots=True)
class Hint:
    """A message to publish: the job and its account, the task's name and id, and the queue.

    ``envelope`` is what the message carries besides (`Carried`). The request id and the day tell
    people who watch the tasks what the job is about.
    """

    job_id: str
    kind: str
    task_id: str
    queue: str
    number: int
    account: str
    request_id: str
    day: str | None
    envelope: dict[str, Any] | None = None

    @classmethod
    def of(cls, job: Job, number: int) -> Hint:
        """Return the hint of a job for the task that opened it."""
        about = (job.account, job.request_id, job.day)
        return cls(job.job_id, job.kind, job.task_id, job.queue, number, *about)


_TAKEN_NO = (
    select(queues.c.taken_no).where(queues.c.queue == parameter("of_queue")).scalar_subquery()
)
_DUE = (
    jobs.c.queue == parameter("of_queue"),
    jobs.c.next_attempt_at <= now_once(),
    or_(
        jobs.c.hinted_at.is_(None),
        and_(
            jobs.c.hinted_at < now_once() - parameter("patience"),
            or_(
                parameter("queue_is_empty", Boolean()),
                jobs.c.hint_no < func.coalesce(_TAKEN_NO, 0),
            ),
        ),
    ),
)
#: In the order of the index: PostgreSQL cannot know that few rows are due, and would read all.
_ANY_DUE = Prepared(
    select(jobs.c.job_id)
    .where(jobs.c.state.in_(states.OPEN), *_DUE)
    .order_by(jobs.c.state, jobs.c.queue, jobs.c.next_attempt_at)
    .limit(1)
)
_ROOM = parameter("room", Integer())


def _oldest(state: str) -> Select[tuple[str, float | None]]:
    """Select the due jobs of one state in the order of the index, so that no further job is read,
    however many are due.
    """
    oldest = (
        select(jobs.c.job_id, jobs.c.next_attempt_at)
        .where(jobs.c.state == state, *_DUE)
        .order_by(jobs.c.next_attempt_at)
        .limit(_ROOM)
        .with_for_update(skip_locked=True)
        .subquery()
    )
    return select(oldest.c.job_id, oldest.c.next_attempt_at)


_OLDEST = union_all(*map(_oldest, states.OPEN)).subquery()
_CLAIM = Prepared(
    update(jobs)
    .where(
        jobs.c.job_id.in_(select(_OLDEST.c.job_id).order_by(_OLDEST.c.next_attempt_at).limit(_ROOM))
    )
    .values(hinted_at=now(), hint_no=parameter("number"))
    .returning(
        *(jobs.c.job_id, jobs.c.kind, jobs.c.task_id, jobs.c.account, jobs.c.request_id, DAY_COLUMN)
    )
)
_PUT_BACK = Prepared(
    update(jobs)
    .where(jobs.c.job_id == parameter("job"), jobs.c.state.in_(states.OPEN))
    .where(jobs.c.next_attempt_at <= now())
    .values(
        hinted_at=None,
        next_attempt_at=now() + parameter("seconds"),
        reason=func.coalesce(parameter("reason", jobs.c.reason.type), jobs.c.reason),
    )
)


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
        if room <= 0:
            return []
        rule = {
            "of_queue": queue,
            "patience": self._patience_seconds,
            "queue_is_empty": queue_is_empty,
        }
        # Most rounds find nothing, and on SQLite a mere read must not take the writers' lock.
        if not self._database.read(lambda connection: _ANY_DUE.rows(connection, **rule)):
            return []
        return self._database.write(lambda connection: _claim(connection, queue, room, rule))

    def put_back(
        self,
        job_id: str,
        *,
        seconds: float,
        reason: str | None = None,
        held_by: str | None = None,
    ) -> None:
        """Announce the job again in ``seconds``: its hint met a worker that cannot take it now.

        ``reason``, if there is one, becomes the job's. ``held_by`` is the obstacle that holds the
        job, one of `OBSTACLES`, if one does.
        """

        def work(connection: Connection) -> None:
            _PUT_BACK.run(connection, job=job_id, seconds=seconds, reason=reason)
            if held_by is not None:
                _note_obstacle(connection, job_id, held_by)

        self._database.write(work)


def _note_obstacle(connection: Connection, job_id: str, obstacle: str) -> None:
    is_open = (jobs.c.job_id == job_id, jobs.c.state.in_(states.OPEN))
    wanted = select(jobs.c.work, now().label("at")).where(*is_open).with_for_update()
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return
    notes = dict(row.work)
    held.noted(notes, obstacle, at=row.at, lasted=0.0)
    if notes != row.work:
        connection.execute(update(jobs).where(*is_open).values(work=notes))


def _claim(connection: Connection, queue: str, room: int, rule: dict[str, Any]) -> list[Hint]:
    number = next_hint(connection, queue)
    rows: list[Any] = _CLAIM.rows(connection, room=room, number=number, **rule)
    return [
        Hint(
            row.job_id,
            row.kind,
            row.task_id,
            queue,
            number,
            *(row.account, row.request_id, row.day),
        )
        for row in rows
    ]
