"""Reading jobs without changing them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, func, literal, select, union

from ledger.errors import NoSuchJob

from . import states
from .database import Database
from .job import COLUMNS, Job, iso, job_id
from .prepared import by_no_index
from .schema import audit, jobs, waiters
from .transitions import find

#: So many jobs are read and sorted sooner than found among all others.
_FEW = 5_000


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
        # Joined by OR, PostgreSQL would look for the three in every job.
        ids = union(
            select(jobs.c.job_id).where(jobs.c.job_id == name),
            select(jobs.c.job_id).where(jobs.c.request_id == name),
            select(waiters.c.job_id).where(waiters.c.task_id == name),
        )
        return self._jobs(
            select(*COLUMNS).where(jobs.c.job_id.in_(ids)).order_by(jobs.c.created_at)
        )

    def beginning_with(self, prefix: str, *, limit: int) -> list[Job]:
        """Return at most ``limit`` jobs whose id begins with a prefix of a UUID, or for which a
        task asked whose id does.
        """
        own = select(jobs.c.job_id).where(*_begins_with(jobs.c.job_id, prefix)).limit(limit)
        asked_for = select(waiters.c.job_id).where(*_begins_with(waiters.c.task_id, prefix))
        ids = union(
            *(select(some.c.job_id) for some in (own.subquery(), asked_for.limit(limit).subquery()))
        )
        return self._jobs(
            select(*COLUMNS).where(jobs.c.job_id.in_(ids)).order_by(jobs.c.created_at).limit(limit)
        )

    def jobs(
        self,
        *,
        account: str | None = None,
        state: str | None = None,
        kind: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Return the jobs that changed last, newest first."""
        filters = {jobs.c.account: account, jobs.c.kind: kind, jobs.c.state: state}
        given = {column: value for column, value in filters.items() if value is not None}
        wanted = select(*COLUMNS).order_by(jobs.c.updated_at.desc()).limit(limit)

        def look(connection: Connection) -> list[Job]:
            which = [column == value for column, value in given.items()]
            if self._database.is_sqlite:
                which = _by_best_index(connection, given)
            return [Job.of(row) for row in connection.execute(wanted.where(*which))]

        return self._database.read(look)

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


def _by_best_index(connection: Connection, given: Mapping[Any, str]) -> list[ColumnElement[bool]]:
    """Return the conditions that columns have their given values, for SQLite.

    It keeps no statistics, and would read and sort every job of an account or in a state, although
    the newest jobs soon show enough of them. So it gets an index only where few jobs are found by
    it, and otherwise goes through the jobs from the newest on.
    """
    c = jobs.c
    of_account = [column == given[column] for column in (c.account, c.kind) if column in given]
    leads = None
    if c.account in given and _are_few(connection, of_account):
        leads = c.account
    elif c.state in given and _are_few(connection, [c.state == given[c.state]]):
        leads = c.state
    # The kind is part of an account's index alone.
    led_by = {leads, c.kind}
    return [
        column == value if column in led_by else by_no_index(column) == value
        for column, value in given.items()
    ]


def _are_few(connection: Connection, which: Sequence[ColumnElement[bool]]) -> bool:
    some = select(literal(1)).select_from(jobs).where(*which).limit(_FEW + 1).subquery()
    counted: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return counted <= _FEW


def _begins_with(column: Column[str], prefix: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an index can find a prefix by, in every collation: hexadecimal
    digits come before "g".
    """
    return column >= prefix, column < f"{prefix}g", column.startswith(prefix)
