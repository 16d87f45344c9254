"""Opening a job, or joining the job that the same request opened before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Double, case, cast, func, insert, select, update

from config.error_names import ErrorName
from ledger.errors import RequestConflict

from . import states
from .carried import NOTHING, Carried
from .database import Database, now
from .job import COLUMNS, DUE, FINGERPRINT_VERSION, Job, fingerprint, iso, job_id
from .kinds import kind_of
from .outbox import owe
from .prepared import Prepared, parameter
from .schema import jobs, queues, waiters
from .transitions import (
    OWN_ANSWER_SECONDS,
    append_audit,
    change,
    find_locked,
    notification,
    record_end,
)


@dataclass(frozen=True, slots=True)
class Request:
    """The request that opens a job.

    ``parameters`` are validated and canonical. ``task_id`` is the Celery task that asks (the job's
    own hints run under it). ``due_at`` is when the job is first due, now if None. ``not_after`` is
    in seconds since 1970 too; if it is not given, ``lifetime_seconds`` after the due time takes its
    place.

    ``companion`` is a job that is opened in the same transaction, waits for its ``reason`` until it
    is woken or its ``waits_seconds`` have passed, and notifies the same ``notify`` of its end.
    ``details`` are for the hooks of the job's kind; the engine does not read them. ``carried`` is
    what the task's answer must have of the task's message.
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
    carried: Carried = NOTHING

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


_DUE_AT = cast(parameter("due_at"), Double)
_BEGINS = func.coalesce(_DUE_AT, now())
_NOT_AFTER = cast(parameter("not_after"), Double)
OPENED = "opened"
#: The row of a new job; `parameters_of` gives the parameters.
NEW_JOB: dict[str, Any] = {
    "job_id": parameter("job_id"),
    "kind": parameter("kind"),
    "account": parameter("account"),
    "request_id": parameter("request_id"),
    "task_id": parameter("task_id"),
    "parameters": parameter("parameters"),
    "fingerprint": parameter("fingerprint"),
    "fingerprint_version": FINGERPRINT_VERSION,
    "state": states.PENDING,
    "work": parameter("work"),
    "attempts": 0,
    "takeovers": 0,
    "queue": parameter("queue"),
    "next_attempt_at": _BEGINS,
    "not_after": func.coalesce(_NOT_AFTER, _BEGINS + parameter("lifetime_seconds")),
    "cancel_requested": False,
    "parent_id": parameter("parent_id"),
    "open_parts": 0,
    "hint_no": parameter("number"),
    "hinted_at": case((_DUE_AT.is_(None), now())),
    "created_at": now(),
    "updated_at": now(),
}
_INSERT = Prepared(insert(jobs).values(**NEW_JOB).returning(*COLUMNS), Job)
#: The row of a queue with its first hint, and how the next is counted.
FIRST_HINT: dict[str, Any] = {"queue": parameter("queue"), "last_no": 1, "taken_no": 0}
NEXT_HINT: dict[str, Any] = {
    "index_elements": ["queue"],
    "set_": {"last_no": queues.c.last_no + 1},
}
_NEXT_HINT = Prepared(
    lambda insert_into: (
        insert_into(queues)
        .values(**FIRST_HINT)
        .on_conflict_do_update(**NEXT_HINT)
        .returning(queues.c.last_no)
    )
)
_MINE = waiters.c.task_id == parameter("task")
_WAITING_FOR = Prepared(select(waiters.c.job_id).where(_MINE))
_ANSWER_IN = now() + cast(parameter("answer_in"), Double)
_ANSWER_AGAIN = Prepared(
    update(waiters)
    .where(_MINE)
    .values(
        answered_at=None,
        due_at=_ANSWER_IN,
        attempts=0,
        **{
            name: func.coalesce(waiters.c[name], parameter(name, waiters.c[name].type))
            for name in ("envelope", "canvas")
        },
    )
)
#: The row of a task that waits for a job, and of one whose message carried something.
WAITER: dict[str, Any] = {
    "task_id": parameter("task"),
    "job_id": parameter("for_job"),
    "notify": parameter("notify"),
    "asked_at": now(),
    "due_at": _ANSWER_IN,
    "attempts": 0,
}
CARRYING_WAITER: dict[str, Any] = {
    **WAITER,
    "envelope": parameter("envelope"),
    "canvas": parameter("canvas"),
}
WAIT = Prepared(insert(waiters).values(**CARRYING_WAITER).inline())


class Opening:
    """The operations by which requests enter the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, request: Request, *, by: str, notify: dict[str, str] | None = None
    ) -> tuple[Job, int | None]:
        """Open the job of a request, or join an existing one, and note who waits for it.

        Returns the job and, if it was opened just now, the number of its first hint, which the
        caller publishes. Raises RequestConflict when the id was used with other parameters; then
        nothing has changed.
        """
        return self._database.write(
            lambda connection: open_or_join(connection, request, by=by, notify=notify)
        )

    def join(
        self, job: Job, task_id: str, notify: dict[str, str] | None, carried: Carried = NOTHING
    ) -> Job:
        """Note that a task waits for this job; return the job as it is now."""

        def work(connection: Connection) -> Job:
            latest = find_locked(connection, job.job_id)
            assert latest is not None
            add_waiter(connection, latest, task_id, notify, carried)
            return latest

        return self._database.write(work)


def open_or_join(
    connection: Connection, request: Request, *, by: str, notify: dict[str, str] | None
) -> tuple[Job, int | None]:
    """Open or find the job of a request; return the job, and the number of its first hint if it was
    opened and is due.

    A job that its kind withholds has no hint. Raises RequestConflict, UnknownKind, and the errors
    of the kind's hooks; then nothing has changed.
    """
    kind = kind_of(request.kind)
    job = find_locked(connection, request.job_id)
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
        add_waiter(connection, job, request.task_id, notify, request.carried)
    return job, number


def _open_companion(
    connection: Connection, request: Request, *, by: str, notify: dict[str, str] | None
) -> None:
    """Open the companion of this request's job, if there is one."""
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
    append_audit(connection, job.job_id, step, by=by, why=other.reason or "")
    if notify is not None:
        add_waiter(connection, job, job.task_id, notify)


def insert_job(connection: Connection, request: Request, *, by: str) -> tuple[Job, int | None]:
    """Insert a job; return it with the number of its first hint, which the caller publishes.

    A job that is due later waits and has no hint; a job that will be too late then ends at once.
    When two transactions insert the same job at once, the second meets the first one's row by the
    unique key, is rolled back whole, and finds the row when ``Database.write`` runs it again.
    """
    kind = kind_of(request.kind)
    number = next_hint(connection, request.queue)
    job = _INSERT.row(connection, number=number, **parameters_of(request))
    assert job is not None
    # After the row: when two transactions open the same job, the second must meet the first one's
    # row, not a refusal of the kind because of the first.
    kind.inserted(connection, request)
    append_audit(connection, request.job_id, (None, states.PENDING), by=by, why=OPENED)
    if request.due_at is not None:
        return _waits(connection, request, by=by), None
    return job, number


def parameters_of(request: Request) -> dict[str, Any]:
    """Return what the row of a new job takes from its request."""
    return {
        "job_id": request.job_id,
        "kind": request.kind,
        "account": request.account,
        "request_id": request.request_id,
        "task_id": request.task_id or request.job_id,
        "parameters": request.parameters,
        "fingerprint": fingerprint(request.parameters),
        "work": (request.work or {}) | ({} if request.due_at is None else {DUE: request.due_at}),
        "queue": request.queue,
        "due_at": request.due_at,
        "not_after": request.not_after,
        "lifetime_seconds": request.lifetime_seconds,
        "parent_id": request.parent_id,
    }


def _waits(connection: Connection, request: Request, *, by: str) -> Job:
    """Let a newly inserted job wait until it is due, or end it if that is too late."""
    values: dict[str, Any] = {
        "state": states.WAITING,
        "reason": f"waits until {iso(request.due_at)}, as requested",
    }
    if request.is_void:
        sentence = (
            f"not done: the request expires at {iso(request.not_after)}, before it is due at "
            f"{iso(request.due_at)}; nothing was sent"
        )
        error = ErrorName.EXPIRED.stored(sentence)
        values = {"state": states.FAILED, "reason": sentence, "error": error}
        values["next_attempt_at"] = None
    job = change(connection, request.job_id, **values)
    assert job is not None
    if job.ended:
        record_end(connection, job, states.PENDING, by=by, own_task=request.task_id)
    else:
        step = (states.PENDING, states.WAITING)
        append_audit(connection, job.job_id, step, by=by, why=job.reason or "")
    return job


def next_hint(connection: Connection, queue: str) -> int:
    """Return the next number of a queue's hints; a later hint has a higher number."""
    return int(_NEXT_HINT.value(connection, queue=queue))


def add_waiter(
    connection: Connection,
    job: Job,
    task_id: str,
    notify: dict[str, str] | None,
    carried: Carried = NOTHING,
) -> None:
    """Note that a task waits for a job. When the same task asks again, only an answer that it may
    have missed becomes due again, with what the first of its messages carried.
    """
    waiting_for = _WAITING_FOR.value(connection, task=task_id)
    if waiting_for not in (None, job.job_id):
        # The task id of another job was used again: the end of this job is notified all the same,
        # and fires what its message carried.
        has_more = notify is not None or carried != NOTHING
        if has_more and task_id != job.job_id:
            add_waiter(connection, job, job.job_id, notify, carried)
        return
    answer_in = OWN_ANSWER_SECONDS if job.ended else None
    more = {"answer_in": answer_in, "envelope": carried.envelope, "canvas": carried.canvas}
    if waiting_for is not None:
        _ANSWER_AGAIN.run(connection, task=task_id, **more)
        return
    WAIT.run(connection, task=task_id, for_job=job.job_id, notify=notify, **more)
    if job.ended and notify is not None:
        owe(connection, job.job_id, job.account, "notify", notification(job, notify))
