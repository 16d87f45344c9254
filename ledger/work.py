"""What the holder of a job does with it; every write is fenced by the lease's token."""

from __future__ import annotations

import time
import uuid
from typing import Any

from sqlalchemy import Connection, case, update

from . import states
from .database import Database, now
from .errors import LeaseLost
from .job import COLUMNS, Job
from .leases import Lease, Leases
from .requests import Request, insert_job
from .schema import jobs, queues
from .transitions import audited, ended, find, owe


class Work:
    """Claim a job, note what has been done, put it off, end it."""

    def __init__(self, database: Database, leases: Leases, worker: str) -> None:
        self._database = database
        self._leases = leases
        self._worker = worker

    def claim(self, job_id: str, hint_no: int | None = None) -> tuple[Job, Lease] | None:
        """Take up a job that is due and held by nobody; None when it is not, for whatever reason.

        ``hint_no`` is the number of the hint that brought it, noted as taken up.
        """
        token = str(uuid.uuid4())
        asked_at = time.monotonic()
        seconds = self._leases.seconds

        def work(connection: Connection) -> Job | None:
            if hint_no is not None:
                _taken(connection, job_id, hint_no)
            return _claim(connection, job_id, token, seconds, by=self._worker)

        job = self._database.write(work)
        if job is None:
            return None
        lease = Lease(job_id, token, seconds, asked_at)
        self._leases.hold(lease)
        return job, lease

    def note(self, lease: Lease, work: dict[str, Any]) -> None:
        """Store how far the work has come. Raises LeaseLost."""
        self._fenced(lease, {"work": work})

    def postpone(
        self,
        lease: Lease,
        reason: str,
        *,
        seconds: float | None,
        work: dict[str, Any] | None = None,
        queue: str | None = None,
        progressed: bool = False,
    ) -> None:
        """Let the job wait for so many seconds, or, with None, until something makes it due.

        ``progressed`` work is not held against the job: its dead workers are counted anew.
        Raises LeaseLost.
        """
        values: dict[str, Any] = {
            "state": states.WAITING,
            "reason": reason,
            "next_attempt_at": None if seconds is None else now() + seconds,
            "hinted_at": None,
            "lease_until": None,
        }
        if work is not None:
            values["work"] = work
        if queue is not None:
            values["queue"] = queue
        if progressed:
            values["takeovers"] = 0
        self._fenced(lease, values, then=states.WAITING, why=reason)
        self._leases.drop(lease)

    def await_parts(
        self, lease: Lease, parts: list[Request], *, work: dict[str, Any], queue: str
    ) -> list[tuple[Job, int]]:
        """Open a job for every part and let this one wait until the last of them has ended, all in
        one transaction. Returns the parts with the numbers of their first hints.
        """
        values = {
            "state": states.WAITING,
            "reason": f"waits for {len(parts)} part{'s' * (len(parts) != 1)}",
            "next_attempt_at": None,
            "hinted_at": None,
            "lease_until": None,
            "open_parts": len(parts),
            "work": work,
            "queue": queue,
            "takeovers": 0,
        }

        def write(connection: Connection) -> list[tuple[Job, int]]:
            if _fence(connection, lease, values) is None:
                _own_end(connection, lease, states.WAITING)
                return []
            audited(
                connection,
                lease.job_id,
                states.RUNNING,
                states.WAITING,
                self._worker,
                str(values["reason"]),
            )
            return [insert_job(connection, part, by=self._worker) for part in parts]

        opened = self._write(lease, write)
        self._leases.drop(lease)
        return opened

    def finish(
        self,
        lease: Lease,
        state: str,
        *,
        reason: str | None = None,
        result: dict[str, Any] | None = None,
        error: dict[str, str] | None = None,
        owed: list[tuple[str, dict[str, Any]]] | None = None,
        own_task: str | None = None,
    ) -> Job:
        """End the job with everything its end owes. ``owed`` adds obligations (kind, payload).

        Raises LeaseLost when another holds the job by now: then nothing was stored.
        """
        values = {
            "state": state,
            "reason": reason,
            "result": result,
            "error": error,
            "next_attempt_at": None,
            "lease_until": None,
            "transfer": None,
        }

        def write(connection: Connection) -> Job:
            job = _fence(connection, lease, values)
            if job is None:
                return _own_end(connection, lease, state)
            for kind, payload in owed or []:
                owe(connection, job.job_id, job.account, kind, payload)
            ended(connection, job, states.RUNNING, by=self._worker, own_task=own_task)
            return job

        job = self._write(lease, write)
        self._leases.drop(lease)
        return job

    def _fenced(
        self, lease: Lease, values: dict[str, Any], *, then: str | None = None, why: str = ""
    ) -> None:
        def write(connection: Connection) -> None:
            if _fence(connection, lease, values) is None:
                _own_end(connection, lease, then)
            elif then is not None:
                audited(connection, lease.job_id, states.RUNNING, then, self._worker, why)

        self._write(lease, write)

    def _write(self, lease: Lease, write: Any) -> Any:
        lease.check()
        return self._database.write(write, patience_seconds=max(lease.trusted_seconds(), 0.1))


def _claim(
    connection: Connection, job_id: str, token: str, seconds: float, *, by: str
) -> Job | None:
    before = find(connection, job_id)
    if before is None or before.state not in states.OPEN:
        return None
    taken = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id, jobs.c.state == before.state)
        .where(jobs.c.next_attempt_at <= now(), jobs.c.cancel_requested.is_(False))
        .values(
            state=states.RUNNING,
            lease_token=token,
            lease_until=now() + seconds,
            attempts=jobs.c.attempts + 1,
            hinted_at=None,
            updated_at=now(),
        )
        .returning(*COLUMNS)
    ).one_or_none()
    if taken is None:
        return None
    audited(connection, job_id, before.state, states.RUNNING, by, "taken up")
    return Job.of(taken)


def _taken(connection: Connection, job_id: str, hint_no: int) -> None:
    job = find(connection, job_id)
    if job is not None:
        newer = case((queues.c.taken_no < hint_no, hint_no), else_=queues.c.taken_no)
        connection.execute(update(queues).where(queues.c.queue == job.queue).values(taken_no=newer))


def _fence(connection: Connection, lease: Lease, values: dict[str, Any]) -> Job | None:
    row = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == lease.job_id)
        .where(jobs.c.lease_token == lease.token, jobs.c.state == states.RUNNING)
        .values(updated_at=now(), **values)
        .returning(*COLUMNS)
    ).one_or_none()
    return None if row is None else Job.of(row)


def _own_end(connection: Connection, lease: Lease, state: str | None) -> Job:
    # A commit whose answer was lost is repeated and finds no running row any more: the token that
    # still stands in it tells that the change was this holder's own.
    row = connection.execute(
        jobs.select().where(jobs.c.job_id == lease.job_id, jobs.c.lease_token == lease.token)
    ).one_or_none()
    if row is None or row.state != state:
        raise LeaseLost(f"the lease on job {lease.job_id} was lost; another worker goes on")
    return Job.of(row)
