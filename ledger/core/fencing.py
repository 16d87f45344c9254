"""The statements that give a job to a worker, and that let only its holder change it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Double, cast, func, select, update

from ledger.errors import LeaseLost

from . import states
from .database import now
from .job import COLUMNS, Job
from .leases import Lease
from .prepared import Prepared, parameter
from .schema import jobs, queues
from .transitions import append_audit, cancel_open, changing, find

#: What a worker writes into a job that it takes.
TAKEN: dict[str, Any] = {
    "state": states.RUNNING,
    "lease_token": parameter("token"),
    "lease_until": now() + parameter("seconds"),
    "attempts": jobs.c.attempts + 1,
    "hinted_at": None,
}
TAKEN_UP = "claimed"
#: The conditions under which a worker takes a job that is pending or waiting.
IS_DUE = (jobs.c.next_attempt_at <= now(), jobs.c.cancel_requested.is_(False))
_TAKE = Prepared(
    changing(parameter("job"), jobs.c.state == parameter("before"), *IS_DUE, **TAKEN), Job
)
#: The conditions under which a job's row is changed by its holder.
IS_HOLDER = (jobs.c.lease_token == parameter("token"), jobs.c.state == states.RUNNING)
#: What a note changes.
NOTED: dict[str, Any] = {"work": parameter("work")}
#: What a postponement changes. A value that is not given stays as it is.
POSTPONED: dict[str, Any] = {
    "state": states.WAITING,
    "reason": parameter("reason"),
    "next_attempt_at": now() + cast(parameter("seconds"), Double),
    "hinted_at": None,
    "lease_until": None,
    "work": func.coalesce(parameter("work", jobs.c.work.type), jobs.c.work),
    "queue": func.coalesce(parameter("queue", jobs.c.queue.type), jobs.c.queue),
    "takeovers": func.coalesce(parameter("takeovers", jobs.c.takeovers.type), jobs.c.takeovers),
}
_HELD = Prepared(
    select(*COLUMNS).where(
        jobs.c.job_id == parameter("job"),
        jobs.c.lease_token == parameter("token"),
        jobs.c.state == states.RUNNING,
    ),
    Job,
)
_ANNOUNCED_ON = Prepared(
    select(jobs.c.queue).where(
        jobs.c.job_id == parameter("job"),
        jobs.c.hinted_at.is_not(None),
        jobs.c.hint_no >= parameter("number"),
    )
)
_CONSUME = Prepared(
    update(queues)
    .where(queues.c.queue == parameter("of_queue"), queues.c.taken_no < parameter("number"))
    .values(taken_no=parameter("number"))
)


def claim(
    connection: Connection, job_id: str, token: str, seconds: float, *, by: str
) -> Job | None:
    """Give a due job to the holder of ``token`` for ``seconds``; return None if it is not due.

    A job that is marked to be cancelled ends here: the process that marked it died before it could
    end the job.
    """
    before = find(connection, job_id)
    if before is None:
        return None
    if before.state not in states.OPEN:
        return _held_by(connection, job_id, token)
    return take(connection, before, token, seconds, by=by)


def take(connection: Connection, before: Job, token: str, seconds: float, *, by: str) -> Job | None:
    """Give a pending or waiting job, as it was just read, to the holder of ``token``; return None
    if it is not due, or was changed since.
    """
    job = _TAKE.row(
        connection, job=before.job_id, before=before.state, token=token, seconds=seconds
    )
    if job is not None:
        step = (before.state, states.RUNNING)
        append_audit(connection, job.job_id, step, by=by, why=TAKEN_UP)
    elif before.cancel_requested:
        why = "cancelled with its export"
        cancel_open(connection, before.job_id, before.state, by=by, why=why)
    return job


def _held_by(connection: Connection, job_id: str, token: str) -> Job | None:
    # A commit whose answer was lost is repeated and finds the job running under its own token.
    return _HELD.row(connection, job=job_id, token=token)


def owns_lease(connection: Connection, job_id: str, token: str) -> bool:
    """Return whether a job runs under this token. So it does when the answer to the commit that
    claimed the job was lost, and the transaction runs again.
    """
    return _held_by(connection, job_id, token) is not None


def announced_on(connection: Connection, job_id: str, hint_no: int) -> str | None:
    """Return the queue on which this hint or a later one announces a job, or None.

    A late copy of a hint from a queue that the job has left says nothing about the job's present
    queue.
    """
    queue: str | None = _ANNOUNCED_ON.value(connection, job=job_id, number=hint_no)
    return queue


def mark_consumed(connection: Connection, queue: str, hint_no: int) -> None:
    """Mark a queue's hints as consumed up to this number."""
    _CONSUME.run(connection, of_queue=queue, number=hint_no)


def fencing(**values: Any) -> Prepared[Job]:
    """Prepare the statement that writes these values into a running job if its lease is the one
    that ``fenced`` is given.
    """
    return Prepared(changing(parameter("job"), *IS_HOLDER, **values), Job)


def fenced(
    connection: Connection, lease: Lease, statement: Prepared[Job], **values: Any
) -> Job | None:
    """Change a running job by a statement of ``fencing`` if its lease is the given one; return the
    job afterwards, or None.
    """
    return statement.row(connection, job=lease.job_id, token=lease.token, **values)


def already_applied(connection: Connection, lease: Lease, *then: str) -> Job:
    """Return the job if it is in one of these states and this lease's holder put it there.

    A commit whose answer was lost is repeated and finds no running row any more. The token that
    remains in the row proves that the change was this holder's own. Raises LeaseLost.
    """
    row = connection.execute(
        select(*COLUMNS).where(
            jobs.c.job_id == lease.job_id,
            jobs.c.lease_token == lease.token,
            jobs.c.state.in_(then),
        )
    ).one_or_none()
    if row is None:
        raise LeaseLost(
            f"the lease on job {lease.job_id} was lost; another worker continues the job"
        )
    return Job.of(row)
