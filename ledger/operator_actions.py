"""The actions of people on a job: cancel it, retry it, look at its personal data."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, func, select

from .call_outcomes import decide
from .core import states
from .core.database import Database
from .core.job import COLUMNS, Job
from .core.kinds import kind_of
from .core.opening import Request, insert_job
from .core.schema import jobs
from .core.transitions import append_audit, cancel_open, change, find, find_locked
from .errors import NoSuchJob, NotPossible


class OperatorActions:
    """The operations that a person asks for, each audited with who and why."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cancel(self, job_id: str, *, by: str, why: str = "cancelled") -> Job:
        """Cancel a job, at once if it waits, or at its worker's next renewal if it runs; return the
        job afterwards. The parts of an export are cancelled with it.

        Raises NoSuchJob, and NotPossible when the job is being sent or has ended otherwise.
        """

        def work(connection: Connection) -> Job:
            open_parts = (
                select(jobs.c.job_id)
                .where(jobs.c.parent_id == job_id, jobs.c.state.not_in(states.ENDED))
                .order_by(jobs.c.job_id)
                .with_for_update(key_share=True)
            )
            # Parts first, as a part's own end does, so that neither waits for the other for ever.
            connection.execute(open_parts)
            job = _cancel(connection, job_id, by, why)
            for part in connection.execute(open_parts).scalars().all():
                _cancel(connection, part, by, why)
            return job

        return self._database.write(work)

    def again(
        self, job_id: str, *, by: str, note: str, is_lost: bool = False
    ) -> tuple[Job, int | None]:
        """Retry a failed or cancelled job, or a done job whose files are missing (``is_lost``), as
        a new job: an ended job keeps its end.

        The new request id is the old one with ``#2``, ``#3`` and so on, which no caller can use. A
        second retry while the first is open returns the same job. Returns the job and the number of
        its first hint.

        Raises NoSuchJob, and NotPossible when the job has not failed, or its kind refuses retries.
        """

        def work(connection: Connection) -> tuple[Job, int | None]:
            job = _existing(connection, job_id)
            refusal = kind_of(job.kind).refuses_retry
            if refusal is not None:
                raise NotPossible(refusal)
            base = _base(connection, job)
            newest = _newest(connection, job, base)
            repeatable = (states.FAILED, states.CANCELLED, *((states.DONE,) if is_lost else ()))
            if newest.state not in repeatable:
                if newest.job_id == job.job_id:
                    raise NotPossible(f"not done: job {job_id} is {job.state}, not failed")
                return newest, None
            count = int(newest.request_id[len(base) + 1 :] or 1) + 1
            request = Request(
                kind=job.kind,
                account=job.account,
                request_id=f"{base}#{count}",
                parameters=job.parameters,
                queue=job.queue,
            )
            while find(connection, request.job_id) is not None:
                # The id belongs to another part, whose name at the provider ends like a retry of
                # this one.
                count += 1
                request = replace(request, request_id=f"{base}#{count}")
            append_audit(
                connection, job.job_id, (job.state, job.state), by=by, why=f"retried: {note}"
            )
            return insert_job(connection, request, by=by)

        return self._database.write(work)

    def resolve(self, job_id: str, *, placed: bool, by: str, note: str) -> Job:
        """Decide the outcome of a call that needs a decision: it was placed (*done*) or was not
        (*failed*).

        All later answers report the decision. Deciding the same again changes nothing. Raises
        NoSuchJob, and NotPossible when the job needs no decision.
        """

        def work(connection: Connection) -> Job:
            before = _existing(connection, job_id)
            job = decide(connection, before, placed=placed, by=by, note=note)
            if job is not None:
                return job
            raise NotPossible(
                f"not done: job {job_id} is {before.state}; only a call that needs a decision can "
                "be resolved"
            )

        return self._database.write(work)

    def note_reveal(self, job_id: str, *, by: str) -> None:
        """Note that a person looks at a job's personal data. Raises NoSuchJob."""

        def work(connection: Connection) -> None:
            job = _existing(connection, job_id)
            step = (job.state, job.state)
            append_audit(connection, job_id, step, by=by, why="personal data revealed")

        self._database.write(work)


def _existing(connection: Connection, job_id: str) -> Job:
    job = find_locked(connection, job_id)
    if job is None:
        raise NoSuchJob(f"not done: no job has the id {job_id}")
    return job


def _base(connection: Connection, job: Job) -> str:
    """Return the request id with which a job's work was first opened: the job's own, unless the job
    is a retry. The provider's name of an export is in the id of a part, and may end like a retry's.
    """
    stem, _, number = job.request_id.rpartition("#")
    if not number.isdecimal():
        return job.request_id
    first = select(jobs.c.job_id).where(*_alike(job), jobs.c.request_id == stem)
    return job.request_id if connection.execute(first).first() is None else stem


def _alike(job: Job) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for jobs that do the same work as this job."""
    return (
        jobs.c.account == job.account,
        jobs.c.kind == job.kind,
        jobs.c.fingerprint == job.fingerprint,
    )


def _newest(connection: Connection, job: Job, base: str) -> Job:
    # Compared by characters: LIKE would take "_" for any character, and on SQLite "a" for "A".
    again = f"{base}#"
    rows = connection.execute(
        select(*COLUMNS)
        .where(*_alike(job))
        .where(
            (jobs.c.request_id == base) | (func.substr(jobs.c.request_id, 1, len(again)) == again)
        )
        .order_by(jobs.c.created_at.desc(), jobs.c.request_id.desc())
        .limit(1)
    )
    return Job.of(rows.one())


def _cancel(connection: Connection, job_id: str, by: str, why: str) -> Job:
    before = _existing(connection, job_id)
    if before.state == states.CANCELLED:
        return before
    at_once = cancel_open(connection, job_id, before.state, by=by, why=why)
    if at_once is not None:
        return at_once
    flagged = change(connection, job_id, jobs.c.state == states.RUNNING, cancel_requested=True)
    if flagged is None:
        raise NotPossible(f"not done: job {job_id} is {before.state} and cannot be cancelled")
    step = (states.RUNNING, states.RUNNING)
    append_audit(connection, job_id, step, by=by, why=f"cancellation requested: {why}")
    return flagged
