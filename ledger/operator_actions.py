"""The actions of people on a job: cancel it, retry it, look at its personal data."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy import ColumnElement, Connection, Select, func, select, update

from .call_outcomes import decide
from .core import states
from .core.database import Database, now
from .core.job import COLUMNS, Job
from .core.kinds import kind_of
from .core.opening import Request, insert_job
from .core.schema import jobs
from .core.transitions import append_audit, cancel_open, change, find, find_locked
from .errors import NoSuchJob, NotPossible

#: How many parts of an export one transaction cancels: it takes some ten milliseconds.
_PARTS_AT_ONCE = 8


class OperatorActions:
    """The operations that a person asks for, each audited with who and why."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cancel(self, job_id: str, *, by: str, why: str = "cancelled") -> Job:
        """Cancel a job, at once if it waits, or at its worker's next renewal if it runs; return the
        job afterwards. The parts of an export are cancelled with it.

        The same transaction marks the parts, and from then on no worker claims one. Further
        transactions end the waiting parts, a few in each. If this process dies before that, the
        next claim of a marked part ends it.

        Raises NoSuchJob, and NotPossible when the job is being sent or has ended otherwise.
        """

        def work(connection: Connection) -> Job:
            # Parts first, as a part's own end does, so that neither waits for the other for ever.
            connection.execute(_parts(job_id).with_for_update(key_share=True))
            job = _cancel(connection, job_id, by, why)
            _mark_parts(connection, job_id, by, why)
            return job

        job = self._database.write(work)
        end_some = partial(_end_some_parts, parent_id=job_id, by=by, why=why)
        while self._database.write(end_some):
            pass
        return job

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


def _parts(parent_id: str) -> Select[str]:
    """Select the parts of an export that have not ended."""
    return (
        select(jobs.c.job_id)
        .where(jobs.c.parent_id == parent_id, jobs.c.state.not_in(states.ENDED))
        .order_by(jobs.c.job_id)
    )


def _mark_parts(connection: Connection, parent_id: str, by: str, why: str) -> None:
    """Mark every part to be cancelled; one that waits becomes due, so that a worker ends it."""
    c = jobs.c
    open_parts = (c.parent_id == parent_id, c.cancel_requested.is_(False))
    connection.execute(
        update(jobs)
        .where(*open_parts, c.state.in_(states.OPEN))
        .values(cancel_requested=True, next_attempt_at=now(), hinted_at=None, updated_at=now())
    )
    running = connection.execute(
        update(jobs)
        .where(*open_parts, c.state == states.RUNNING)
        .values(cancel_requested=True, updated_at=now())
        .returning(c.job_id)
    )
    for part in running.scalars().all():
        _audit_request(connection, part, by, why)


def _end_some_parts(connection: Connection, *, parent_id: str, by: str, why: str) -> bool:
    """Cancel a few marked parts that wait; return whether there may be more."""
    marked = _parts(parent_id).where(jobs.c.cancel_requested, jobs.c.state.in_(states.OPEN))
    some = marked.limit(_PARTS_AT_ONCE).with_for_update(key_share=True)
    found = connection.execute(some).scalars().all()
    for part in found:
        _cancel(connection, part, by, why)
    return len(found) == _PARTS_AT_ONCE


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
    _audit_request(connection, job_id, by, why)
    return flagged


def _audit_request(connection: Connection, job_id: str, by: str, why: str) -> None:
    step = (states.RUNNING, states.RUNNING)
    append_audit(connection, job_id, step, by=by, why=f"cancellation requested: {why}")
