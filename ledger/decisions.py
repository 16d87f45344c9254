"""What people decide about a job: cancel it, or have it done once more."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from . import states
from .database import Database, now
from .errors import NoSuchJob, NotPossible
from .job import COLUMNS, Job
from .requests import Request, insert_job
from .schema import jobs
from .transitions import audited, ended, find


class Decisions:
    """Operations that a person asks for, each audited with who and why."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cancel(self, job_id: str, *, by: str, why: str = "cancelled") -> Job:
        """Cancel a job: at once where it waits; where it runs, at its worker's next renewal. The
        parts of an export go with it. The job as it is now.

        Raises NoSuchJob, and NotPossible when it is being sent or has ended otherwise.
        """

        def work(connection: Connection) -> Job:
            job = _cancel(connection, job_id, by, why)
            parts = select(jobs.c.job_id).where(
                jobs.c.parent_id == job_id, jobs.c.state.not_in(states.ENDED)
            )
            for part in connection.execute(parts).scalars().all():
                _cancel(connection, part, by, why)
            return job

        return self._database.write(work)

    def again(self, job_id: str, *, by: str, note: str) -> tuple[Job, int | None]:
        """Open the work of a failed or cancelled job once more, as a job of its own: an end is
        never left. Its request id is the old one with ``#2``, ``#3`` and so on, which no caller can
        use. Asking again while it is open gives the same job. Returns it and its first hint's number.

        Raises NoSuchJob, and NotPossible when the job has not failed, or is a certified call.
        """

        def work(connection: Connection) -> tuple[Job, int | None]:
            job = _existing(connection, job_id)
            if job.kind.startswith("certified_call."):
                raise NotPossible(
                    "not done: a certified call is never repeated; send a new request id instead"
                )
            base = job.request_id.partition("#")[0]
            newest = _newest(connection, job, base)
            if newest.state not in (states.FAILED, states.CANCELLED):
                if newest.job_id == job.job_id:
                    raise NotPossible(f"not done: job {job_id} is {job.state}, not failed")
                return newest, None
            count = int(newest.request_id.partition("#")[2] or 1) + 1
            request = Request(
                kind=job.kind,
                account=job.account,
                request_id=f"{base}#{count}",
                parameters=job.parameters,
                queue=job.queue,
            )
            audited(connection, job.job_id, job.state, job.state, by, f"retried: {note}")
            return insert_job(connection, request, by=by)

        return self._database.write(work)


def _existing(connection: Connection, job_id: str) -> Job:
    job = find(connection, job_id)
    if job is None:
        raise NoSuchJob(f"not done: no job has the id {job_id}")
    return job


def _newest(connection: Connection, job: Job, base: str) -> Job:
    rows = connection.execute(
        select(*COLUMNS)
        .where(jobs.c.account == job.account, jobs.c.kind == job.kind)
        .where((jobs.c.request_id == base) | jobs.c.request_id.startswith(f"{base}#"))
        .order_by(jobs.c.created_at.desc(), jobs.c.request_id.desc())
        .limit(1)
    )
    return Job.of(rows.one())


def _cancel(connection: Connection, job_id: str, by: str, why: str) -> Job:
    before = _existing(connection, job_id)
    if before.state == states.CANCELLED:
        return before
    at_once = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id, jobs.c.state.in_(states.OPEN))
        .values(
            state=states.CANCELLED,
            reason=why,
            error={"type": "Cancelled", "message": f"not done: {why}"},
            next_attempt_at=None,
            cancel_requested=True,
            updated_at=now(),
        )
        .returning(*COLUMNS)
    ).one_or_none()
    if at_once is not None:
        job = Job.of(at_once)
        ended(connection, job, before.state, by=by, own_task=None)
        return job
    flagged = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == job_id, jobs.c.state == states.RUNNING)
        .values(cancel_requested=True, updated_at=now())
        .returning(*COLUMNS)
    ).one_or_none()
    if flagged is None:
        raise NotPossible(f"not done: job {job_id} is {before.state} and can not be cancelled")
    audited(connection, job_id, states.RUNNING, states.RUNNING, by, f"to be cancelled: {why}")
    return Job.of(flagged)
