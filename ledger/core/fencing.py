"""The statements by which a worker takes up a job and by which only its holder may change it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from ledger.errors import LeaseLost

from . import states
from .database import now
from .job import COLUMNS, Job
from .leases import Lease
from .schema import jobs, queues
from .transitions import audited, change, find


def claim(
    connection: Connection, job_id: str, token: str, seconds: float, *, by: str
) -> Job | None:
    """Give a due job to the holder of ``token`` for so many seconds; None when it is not due."""
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
        audited(connection, job_id, (before.state, states.RUNNING), by=by, why="taken up")
    return job


def _held_by(connection: Connection, job_id: str, token: str) -> Job | None:
    # A commit whose answer was lost is repeated and finds the job running: under its own token.
    row = connection.execute(
        select(*COLUMNS).where(
            jobs.c.job_id == job_id,
            jobs.c.lease_token == token,
            jobs.c.state == states.RUNNING,
        )
    ).one_or_none()
    return None if row is None else Job.of(row)


def holds(connection: Connection, job_id: str, token: str) -> bool:
    """Whether a job runs under this token: so it does where the answer to the commit that took it
    up was lost, and the transaction is run again.
    """
    return _held_by(connection, job_id, token) is not None


def announced_on(connection: Connection, job_id: str, hint_no: int) -> str | None:
    """The queue on which a job is announced by this hint or a later one; None when it is not.

    A late copy of a hint from a queue that the job has left says nothing about its present one.
    """
    return connection.execute(
        select(jobs.c.queue).where(
            jobs.c.job_id == job_id, jobs.c.hinted_at.is_not(None), jobs.c.hint_no >= hint_no
        )
    ).scalar_one_or_none()


def taken_up(connection: Connection, queue: str, hint_no: int) -> None:
    """Note that a queue's hints were taken up as far as this number."""
    connection.execute(
        update(queues)
        .where(queues.c.queue == queue, queues.c.taken_no < hint_no)
        .values(taken_no=hint_no)
    )


def fenced(connection: Connection, lease: Lease, values: dict[str, Any]) -> Job | None:
    """Change a running job if its lease is the one given; the job afterwards, or None."""
    held = (jobs.c.lease_token == lease.token, jobs.c.state == states.RUNNING)
    return change(connection, lease.job_id, *held, **values)


def own_change(connection: Connection, lease: Lease, *then: str) -> Job:
    """The job, if it is in one of these states and this lease's holder was the last one.

    A commit whose answer was lost is repeated and finds no running row any more: the token that
    still stands in it tells that the change was this holder's own. Raises LeaseLost.
    """
    row = connection.execute(
        select(*COLUMNS).where(
            jobs.c.job_id == lease.job_id,
            jobs.c.lease_token == lease.token,
            jobs.c.state.in_(then),
        )
    ).one_or_none()
    if row is None:
        raise LeaseLost(f"the lease on job {lease.job_id} was lost; another worker goes on")
    return Job.of(row)
