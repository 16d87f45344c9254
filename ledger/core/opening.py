"""Opening a job, or joining the one that the same request opened before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from config.error_names import ErrorName
from ledger.errors import RequestConflict

from . import states
from .database import Database, insert_into, now
from .job import DUE, FINGERPRINT_VERSION, Job, fingerprint, iso, job_id
from .kinds import kind_of
from .outbox import owe
from .schema import jobs, queues, waiters
from .transitions import OWN_ANSWER_SECONDS, audited, change, ended, find, find_held, notification


@dataclass(frozen=True, slots=True)
class Request:
    """What a job is opened with.

    ``parameters`` are validated and canonical; ``task_id`` is the Celery task that asks (its own
    hints run under it); ``due_at`` is when the job is first due, now where it is None;
    ``not_after`` is in seconds since 1970 as well, and ``lifetime_seconds`` how long after the job
    is due it is where it is not given.

    ``companion`` is the job that is opened in the same transaction, waits for its ``reason`` until
    it is woken or its ``waits_seconds`` have passed, and notifies the same ``notify`` of its end.
    ``details`` are for the hooks of the job's kind, which know what they are.
    """

    kind: str
    account: str
    request_id: str
    parameters: dict[str, Any]
    queue: str
    task_id: str | None = None
    parent_id: str | None = None
    due_at: float | None = None
    not_after: float | None = None
    lifetime_seconds: float | None = None
    work: dict[str, Any] | None = None
    companion: Request | None = None
    waits_seconds: float | None = None
    reason: str | None = None
    details: Any = None

    @property
    def job_id(self) -> str:
        """The id that the job has or will have."""
        return job_id(self.account, f"earwitness.{self.kind}", self.request_id)

    @property
    def is_void(self) -> bool:
        """Whether nothing may be sent any more when the job is due."""
        return (
            self.due_at is not None and self.not_after is not None and self.not_after <= self.due_at
        )


class Opening:
    """The front door's operations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, request: Request, *, by: str, notify: dict[str, str] | None = None
    ) -> tuple[Job, int | None]:
        """Open the job of a request, or join it when it is there, and note who waits for it.

        Returns the job and, when it was opened just now, the number of its first hint, which the
        caller publishes. Raises RequestConflict when the id was used with other parameters;
        nothing has changed then.
        """
        return self._database.write(
            lambda connection: open_or_join(connection, request, by=by, notify=notify)
        )

    def join(self, job: Job, task_id: str, notify: dict[str, str] | None) -> Job:
        """Note that a task waits for this job; the job as it is now."""

        def work(connection: Connection) -> Job:
            latest = find_held(connection, job.job_id)
            assert latest is not None
            add_waiter(connection, latest, task_id, notify)
            return latest

        return self._database.write(work)


def open_or_join(
    connection: Connection, request: Request, *, by: str, notify: dict[str, str] | None
) -> tuple[Job, int | None]:
    """The job of a request, opened or found, and the number of its first hint where it was opened
    and is due.

    Where its kind withholds a job, that has no hint. Raises RequestConflict, UnknownKind, and what
    the kind's hooks raise; nothing has changed then.
    """
    kind = kind_of(request.kind)
    job = find_held(connection, request.job_id)
    number = None
    if job is None:
        job = kind.withhold(connection, request, by=by)
        if job is None:
            job, number = insert_job(connection, request, by=by)
            if not job.ended:
                _open_companion(connection, request, by=by, notify=notify)
                kind.opened(connection, request)
    elif job.fingerprint != fingerprint(request.parameters):
        raise RequestConflict(
            f"not done: request id {request.request_id!r} was used before for {request.kind} of "
            f"account {request.account!r} with other parameters; nothing was changed; use a new id"
        )
    if request.task_id is not None:
        add_waiter(connection, job, request.task_id, notify)
    return job, number


def _open_companion(
    connection: Connection, request: Request, *, by: str, notify: dict[str, str] | None
) -> None:
    """Open the job that waits beside the one of this request, if there is one."""
    other = request.companion
    if other is None:
        return
    if request.due_at is not None:
        other = replace(other, work={**(other.work or {}), DUE: request.due_at})
    job, _ = insert_job(connection, other, by=by)
    wait = 0.0 if other.waits_seconds is None else other.waits_seconds
    begins = now() if request.due_at is None else request.due_at
    change(
        connection,
        job.job_id,
        state=states.WAITING,
        reason=other.reason,
        next_attempt_at=begins + wait,
        hinted_at=None,
    )
    step = (states.PENDING, states.WAITING)
    audited(connection, job.job_id, step, by=by, why=other.reason or "")
    if notify is not None:
        add_waiter(connection, job, job.task_id, notify)


def insert_job(connection: Connection, request: Request, *, by: str) -> tuple[Job, int | None]:
    """Insert a job. The caller publishes its first hint, which has the number returned with it. A
    job that is due later waits, and has none; one that will be too late then ends at once.

    Two that insert at once: the second meets the first's row by the unique key, its transaction is
    rolled back whole, and finds the row when ``Database.write`` runs it again.
    """
    kind = kind_of(request.kind)
    number = next_hint(connection, request.queue)
    begins: Any = now() if request.due_at is None else request.due_at
    not_after: Any = request.not_after
    if not_after is None and request.lifetime_seconds is not None:
        not_after = begins + request.lifetime_seconds
    values = {
        "job_id": request.job_id,
        "kind": request.kind,
        "account": request.account,
        "request_id": request.request_id,
        "task_id": request.task_id or request.job_id,
        "parameters": request.parameters,
        "fingerprint": fingerprint(request.parameters),
        "fingerprint_version": FINGERPRINT_VERSION,
        "state": states.PENDING,
        "work": (request.work or {}) | ({} if request.due_at is None else {DUE: request.due_at}),
        "attempts": 0,
        "takeovers": 0,
        "queue": request.queue,
        "next_attempt_at": begins,
        "not_after": not_after,
        "cancel_requested": False,
        "parent_id": request.parent_id,
        "open_parts": 0,
        "hint_no": number,
        "hinted_at": now() if request.due_at is None else None,
        "created_at": now(),
        "updated_at": now(),
    }
    connection.execute(insert(jobs).values(**values))
    # After the row: of two that open the same job, the second has to meet the first's row, not what
    # its kind refuses because of the first.
    kind.inserted(connection, request)
    audited(connection, request.job_id, (None, states.PENDING), by=by, why="opened")
    if request.due_at is not None:
        return _waits(connection, request, by=by), None
    job = find(connection, request.job_id)
    assert job is not None
    return job, number


def _waits(connection: Connection, request: Request, *, by: str) -> Job:
    """Let a job that was inserted just now wait until it is due, or end where that is too late."""
    values: dict[str, Any] = {
        "state": states.WAITING,
        "reason": f"waits until {iso(request.due_at)}, as its sender asked",
    }
    if request.is_void:
        sentence = (
            f"not done: it expires at {iso(request.not_after)}, before it is due at "
            f"{iso(request.due_at)}; nothing was sent"
        )
        error = ErrorName.EXPIRED.stored(sentence)
        values = {"state": states.FAILED, "reason": sentence, "error": error}
        values["next_attempt_at"] = None
    job = change(connection, request.job_id, **values)
    assert job is not None
    if job.ended:
        ended(connection, job, states.PENDING, by=by, own_task=request.task_id)
    else:
        step = (states.PENDING, states.WAITING)
        audited(connection, job.job_id, step, by=by, why=job.reason or "")
    return job


def next_hint(connection: Connection, queue: str) -> int:
    """The next number of a queue's hints; a later number was published later."""
    statement = (
        insert_into(connection, queues)
        .values(queue=queue, last_no=1, taken_no=0)
        .on_conflict_do_update(index_elements=["queue"], set_={"last_no": queues.c.last_no + 1})
        .returning(queues.c.last_no)
    )
    return int(connection.execute(statement).scalar_one())


def add_waiter(
    connection: Connection, job: Job, task_id: str, notify: dict[str, str] | None
) -> None:
    """Note that a task waits for a job; the same task asking again changes nothing but that an
    answer it may have missed is due again.
    """
    known = connection.execute(
        select(waiters.c.job_id).where(waiters.c.task_id == task_id)
    ).scalar_one_or_none()
    if known not in (None, job.job_id):
        # The id of another job's task, used again: what becomes of this job is told all the same.
        if notify is not None and task_id != job.job_id:
            add_waiter(connection, job, job.job_id, notify)
        return
    due_at = now() + OWN_ANSWER_SECONDS if job.ended else None
    if known is not None:
        connection.execute(
            update(waiters)
            .where(waiters.c.task_id == task_id)
            .values(answered_at=None, due_at=due_at, attempts=0)
        )
        return
    connection.execute(
        insert(waiters).values(
            task_id=task_id,
            job_id=job.job_id,
            notify=notify,
            asked_at=now(),
            due_at=due_at,
            attempts=0,
        )
    )
    if job.ended and notify is not None:
        owe(connection, job.job_id, job.account, "notify", notification(job, notify))
