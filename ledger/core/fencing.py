"""The statements that give a job to a worker, and that let only its holder change it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from ledger.errors import LeaseLost

from . import states
from .database import now
from .job import COLUMNS, Job
from .leases import Lease
from .schema import jobs, queues
from .transitions import append_audit, cancel_open, change, find


def claim(
    connection: Connection, job_id: str, token: str, seconds: float, *, by: str
) -> Job | None:
    """Give a due job to the holder of ``token`` for ``seconds``; return None if it is not due.

    A job that was marked to be cancelled ends here: whoever marked it died before ending it.
    """
    before = find(connection, job_id)
    if before is None:
        return None
    if before.state not in states.OPEN:
        return _held_by(connection, job_id, token)
    job = change(
        connection,
        job_id,
        jobs.c.state == before.state,
        jobs.c.next_attempt_at <= now(),
        jobs.c.cancel_requested.is_(False),
        state=states.RUNNING,
        lease_token=token,
        lease_until=now() + seconds,
        attempts=jobs.c.attempts + 1,
        hinted_at=None,
    )
    if job is not None:
        append_audit(connection, job_id, (before.state, states.RUNNING), by=by, why="claimed")
    elif before.cancel_requested:
        cancel_open(connection, job_id, before.state, by=by, why="cancelled with its export")
    return job


def _held_by(connection: Connection, job_id: str, token: str) -> Job | None:
    # A commit whose answer was lost is repeated and finds the job running under its own token.
    row = connection.execute(
        select(*COLUMNS).where(
            jobs.c.job_id == job_id,
            jobs.c.lease_token == token,
            jobs.c.state == states.RUNNING,
        )
    ).one_or_none()
    return None if row is None else Job.of(row)


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
    return connection.execute(
        select(jobs.c.queue).where(
            jobs.c.job_id == job_id, jobs.c.hinted_at.is_not(None), jobs.c.hint_no >= hint_no
        )
    ).scalar_one_or_none()


def mark_consumed(connection: Connection, queue: str, hint_no: int) -> None:
    """Mark a queue's hints as consumed up to this number."""
    connection.execute(
        update(queues)
        .where(queues.c.queue == queue, queues.c.taken_no < hint_no)
        .values(taken_no=hint_no)
    )


def fenced(connection: Connection, lease: Lease, values: dict[str, Any]) -> Job | None:
    """Change a running job if its lease is the given one; return the job afterwards, or None."""
    held = (jobs.c.lease_token == lease.token, jobs.c.state == states.RUNNING)
    return change(connection, lease.job_id, *held, **values)


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
