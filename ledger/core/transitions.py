"""The consequences of every change of a job's state, inside the transaction that changes it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, insert, select, update

from config.error_names import ErrorName

from . import states
from .database import now, once_committed
from .job import COLUMNS, Job
from .kinds import Ending, kind_of
from .outbox import owe
from .prepared import Prepared, parameter
from .schema import audit, jobs, waiters

_log = logging.getLogger(__name__)

#: The task whose own end is being written stores its result itself. Its waiter is answered by a
#: separate message only if that did not happen within this time.
OWN_ANSWER_SECONDS = 10

_JOB = select(*COLUMNS).where(jobs.c.job_id == parameter("job_id"))
_FIND = Prepared(_JOB, Job)
_FIND_HELD = Prepared(_JOB.with_for_update(key_share=True), Job)
#: One line of a job's history.
LINE: dict[str, Any] = {
    "job_id": parameter("job_id"),
    "at": now(),
    "from_state": parameter("before"),
    "to_state": parameter("after"),
    "by": parameter("by"),
    "why": parameter("why"),
}
_AUDIT = Prepared(insert(audit).values(**LINE).inline())
NEWEST_REASON = (
    select(audit.c.why)
    .where(audit.c.job_id == parameter("job_id"))
    .order_by(audit.c.id.desc())
    .limit(1)
)
_NEWEST_REASON = Prepared(NEWEST_REASON)
_ANSWER_ALL = Prepared(
    update(waiters)
    .where(waiters.c.job_id == parameter("of_job"), waiters.c.answered_at.is_(None))
    .values(due_at=now())
)
_ANSWER_LATER = Prepared(
    update(waiters)
    .where(waiters.c.task_id == parameter("task"), waiters.c.answered_at.is_(None))
    .values(due_at=now() + OWN_ANSWER_SECONDS)
)
_NOTIFICATIONS = Prepared(
    select(waiters.c.notify).where(
        waiters.c.job_id == parameter("job_id"), waiters.c.notify.is_not(None)
    )
)

#: Each is called with every job that ended by a change of this process, once that is committed.
end_listeners: list[Callable[[Job], None]] = []


def find(connection: Connection, job_id: str) -> Job | None:
    """Return the job with this id, or None."""
    return _FIND.row(connection, job_id=job_id)


def find_locked(connection: Connection, job_id: str) -> Job | None:
    """Return the job with this id, or None; lock its row until the transaction ends.

    Otherwise, on PostgreSQL, a concurrent change could overtake a decision made from the row (that
    the job has not ended, so that its end will find a waiter). On SQLite writers take turns anyway.
    """
    return _FIND_HELD.row(connection, job_id=job_id)


def lock(connection: Connection, job_id: str) -> None:
    """Lock a job's row as ``find_locked`` does."""
    _FIND_HELD.run(connection, job_id=job_id)


def updating(
    job_id: str | ColumnElement[Any], *conditions: ColumnElement[bool], **values: Any
) -> Update:
    """Return the statement by which ``change`` writes, for a step that needs nothing of the job."""
    return (
        update(jobs).where(jobs.c.job_id == job_id, *conditions).values(updated_at=now(), **values)
    )


def changing(
    job_id: str | ColumnElement[Any], *conditions: ColumnElement[bool], **values: Any
) -> Update:
    """Return the statement by which ``change`` writes: it returns the job's columns. A step that
    every job takes prepares it, with a `parameter` as the job's id.
    """
    return updating(job_id, *conditions, **values).returning(*COLUMNS)


def change(
    connection: Connection, job_id: str, *conditions: ColumnElement[bool], **values: Any
) -> Job | None:
    """Write these values into a job's row if every condition holds, in one statement; return the
    job afterwards, or None if nothing was changed.
    """
    row = connection.execute(changing(job_id, *conditions, **values)).one_or_none()
    return None if row is None else Job.of(row)


def append_audit(
    connection: Connection, job_id: str, step: tuple[str | None, str], *, by: str, why: str
) -> None:
    """Append to the audit who changed a job's state, from what to what (None: it was opened), and
    why.
    """
    before, after = step
    _AUDIT.run(connection, job_id=job_id, before=before, after=after, by=by, why=why)


def newest_reason(connection: Connection, job_id: str) -> str | None:
    """Return what the newest line of a job's history says; None if it has none."""
    newest: str | None = _NEWEST_REASON.value(connection, job_id=job_id)
    return newest


def record_end(
    connection: Connection,
    job: Job,
    before: str,
    *,
    by: str,
    own_task: str | None,
    contradicts: str | None = None,
) -> None:
    """Write the consequences of a job's end: audit, answers, notifications, its parent's count, and
    the additions of its kind.

    ``job`` is the row after the change. ``own_task`` is the task id that will store the outcome.
    ``contradicts`` is the path in the archive that holds something else than the job would keep.
    Raises UnknownKind.
    """
    kind = kind_of(job.kind)
    append_audit(connection, job.job_id, (before, job.state), by=by, why=job.reason or "")
    once_committed(connection, partial(tell_listeners, job))
    _ANSWER_ALL.run(connection, of_job=job.job_id)
    if own_task is not None:
        _ANSWER_LATER.run(connection, task=own_task)
    _owe_notifications(connection, job)
    if job.parent_id is not None:
        _part_ended(connection, job.parent_id)
    for hook in kind.ended:
        hook(connection, Ending(job, before, contradicts))


def tell_listeners(job: Job) -> None:
    """Call every listener with a job whose end is committed."""
    for listener in end_listeners:
        try:
            listener(job)
        except Exception:  # noqa: BLE001 - the end is committed, and must not look as if it had failed
            _log.exception(
                "a listener failed at the end of job %s; the outcome is stored", job.job_id
            )


def cancel_open(
    connection: Connection, job_id: str, before: str, *, by: str, why: str
) -> Job | None:
    """End a job that no worker holds as cancelled; return None if it is not pending or waiting.

    ``before`` is the state that the job's history shows it to have left.
    """
    job = change(
        connection,
        job_id,
        jobs.c.state.in_(states.OPEN),
        state=states.CANCELLED,
        reason=why,
        error=ErrorName.CANCELLED.stored(f"not done: {why}"),
        next_attempt_at=None,
        transfer=None,
        cancel_requested=True,
    )
    if job is not None:
        record_end(connection, job, before, by=by, own_task=None)
    return job


def _owe_notifications(connection: Connection, job: Job) -> None:
    for (notify,) in _NOTIFICATIONS.rows(connection, job_id=job.job_id):
        if notify is not None:
            owe(connection, job.job_id, job.account, "notify", notification(job, notify))


def notification(job: Job, notify: dict[str, str]) -> dict[str, Any]:
    """Return the message that a caller's ``notify`` asked for."""
    return {
        **notify,
        "kwargs": {
            "job_id": job.job_id,
            "request_id": job.request_id,
            "kind": job.kind,
            "state": job.state,
            "result": job.result,
            "error": job.error,
        },
    }


def _part_ended(connection: Connection, parent_id: str) -> None:
    # A counter in the row, not a count of rows: two last parts may not see each other's end.
    left = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == parent_id, jobs.c.open_parts > 0)
        .values(open_parts=jobs.c.open_parts - 1)
        .returning(jobs.c.open_parts)
    ).scalar_one_or_none()
    if left is None:
        return
    values: dict[str, Any] = {"reason": f"waits for {left} more part{'s' * (left != 1)}"}
    if left == 0:
        values = {"reason": "all parts have ended", "next_attempt_at": now(), "hinted_at": None}
    connection.execute(
        update(jobs)
        .where(jobs.c.job_id == parent_id, jobs.c.state == states.WAITING)
        .values(updated_at=now(), **values)
    )
