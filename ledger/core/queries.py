"""Reading jobs without changing them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, func, select

from ledger.errors import NoSuchJob

from . import states
from .database import Database
from .job import COLUMNS, Job, iso, job_id
from .schema import audit, jobs, waiters
from .transitions import find


class Queries:
    """Jobs and their histories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def job(self, job_id: str) -> Job:
        """Return the job with this id. Raises NoSuchJob."""
        job = self._database.read(lambda connection: find(connection, job_id))
        if job is None:
            raise NoSuchJob(f"not done: no job has the id {job_id}")
        return job

    def by_id(self, job_ids: Collection[str]) -> dict[str, Job]:
        """Return the jobs with these ids, those that exist, by id."""
        return {
            job.job_id: job
            for job in self._jobs(select(*COLUMNS).where(jobs.c.job_id.in_(set(job_ids))))
        }

    def opened(self, account: str, kind: str, request_id: str) -> Job | None:
        """Return the job that a request opened, or None."""
        name = job_id(account, f"earwitness.{kind}", request_id)
        return self._database.read(lambda connection: find(connection, name))

    def named(self, name: str) -> list[Job]:
        """Return the jobs with this job id or request id, or that a task with this id asked for."""
        asked_for = select(waiters.c.job_id).where(waiters.c.task_id == name).scalar_subquery()
        statement = (
            select(*COLUMNS)
            .where(
                (jobs.c.job_id == name) | (jobs.c.request_id == name) | jobs.c.job_id.in_(asked_for)
            )
            .order_by(jobs.c.created_at)
        )
        return self._jobs(statement)

    def beginning_with(self, prefix: str, *, limit: int) -> list[Job]:
        """Return at most ``limit`` jobs whose id begins with a prefix of a UUID, or for which a
        task asked whose id does.
        """
        asked_for = select(waiters.c.job_id).where(*_begins_with(waiters.c.task_id, prefix))
        statement = (
            select(*COLUMNS)
            .where(
                and_(*_begins_with(jobs.c.job_id, prefix))
                | jobs.c.job_id.in_(asked_for.limit(limit).scalar_subquery())
            )
            .order_by(jobs.c.created_at)
            .limit(limit)
        )
        return self._jobs(statement)

    def jobs(
        self,
        *,
        account: str | None = None,
        state: str | None = None,
        kind: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Return the jobs that changed last, newest first."""
        wanted = select(*COLUMNS).order_by(jobs.c.updated_at.desc()).limit(limit)
        for column, value in (
            (jobs.c.account, account),
            (jobs.c.state, state),
            (jobs.c.kind, kind),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        return self._jobs(wanted)

    def parts(self, job_id: str, *, kind: str | None = None) -> list[Job]:
        """Return the parts of a job, or those of one kind, in the order they were opened."""
        wanted = select(*COLUMNS).where(jobs.c.parent_id == job_id)
        if kind is not None:
            wanted = wanted.where(jobs.c.kind == kind)
        return self._jobs(wanted.order_by(jobs.c.created_at, jobs.c.request_id))

    def undecided(self) -> list[tuple[Job, float]]:
        """Return the jobs that wait for a person's decision and since when (seconds since 1970),
        the longest wait first.
        """
        since = (
            select(func.min(audit.c.at))
            .where(audit.c.job_id == jobs.c.job_id, audit.c.to_state == states.NEEDS_DECISION)
            .scalar_subquery()
            .label("since")
        )
        statement: Select[Any] = (
            select(*COLUMNS, since)
            .where(jobs.c.state == states.NEEDS_DECISION)
            .order_by(since, jobs.c.job_id)
        )
        return self._database.read(
            lambda connection: [(Job.of(row), row.since) for row in connection.execute(statement)]
        )

    def history(self, job_id: str) -> list[dict[str, Any]]:
        """Return every change of a job's state: at, from, to, by, why."""
        rows = self._database.read(
            lambda connection: connection.execute(
                select(audit).where(audit.c.job_id == job_id).order_by(audit.c.id)
            ).all()
        )
        return [
            {
                "at": iso(row.at),
                "from": row.from_state,
                "to": row.to_state,
                "by": row.by,
                "why": row.why,
            }
            for row in rows
        ]

    def counts(self) -> dict[str, int]:
        """Return the number of jobs in each state."""
        rows = self._database.read(
            lambda connection: connection.execute(
                select(jobs.c.state, func.count().label("jobs")).group_by(jobs.c.state)
            ).all()
        )
        return {row.state: row.jobs for row in rows}

    def _jobs(self, statement: Any) -> list[Job]:
        return self._database.read(
            lambda connection: [Job.of(row) for row in connection.execute(statement)]
        )


def _begins_with(column: Column[str], prefix: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an index can find a prefix by, in every collation: hexadecimal
    digits come before "g".
    """
    return column >= prefix, column < f"{prefix}g", column.startswith(prefix)
