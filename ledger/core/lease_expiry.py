"""The jobs of dead workers: taken from them, and failed after too many deaths."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from ledger.errors import UnknownKind

from . import states
from .database import Database, now, now_once
from .job import Job
from .kinds import JobKind, kind_of
from .schema import jobs
from .transitions import append_audit, cancel_open, change, record_end

_log = logging.getLogger(__name__)

#: The fifth dead worker ends the job: the job probably kills every worker that claims it.
MOST_TAKEOVERS = 5

_DIED = "its worker stopped responding; another worker continues"


class LeaseExpiry:
    """Takes jobs from dead workers; the sweeper does this first in each round."""

    def __init__(self, database: Database, worker: str) -> None:
        self._database = database
        self._worker = worker

    def take_from_the_dead(self) -> list[Job]:
        """Take every running job whose lease has expired from its worker, and return the jobs
        afterwards.

        Each becomes due again, or ends *failed* the fifth time, or *cancelled* if a person asked
        for that. For a job that was being sent, its kind decides.
        """
        dead = self._database.read(
            lambda connection: connection.execute(
                select(jobs.c.job_id, jobs.c.lease_token, jobs.c.state, jobs.c.kind).where(
                    jobs.c.state.in_((states.RUNNING, states.SENDING)),
                    jobs.c.lease_until < now_once(),
                )
            ).all()
        )
        taken = [self._taken(row) for row in dead]
        return [job for job in taken if job is not None]

    def _taken(self, row: Any) -> Job | None:
        try:
            return self._database.write(partial(self._take_one, row=row))
        except UnknownKind as error:
            # A later version of the program opened the job, and its workers will take it. The other
            # jobs must not wait.
            _log.error(
                "could not take job %s from its dead worker, will retry: %s", row.job_id, error
            )
            return None

    def _take_one(self, connection: Connection, row: Any) -> Job | None:
        kind = kind_of(row.kind)
        if row.state == states.SENDING:
            return kind.sender_lost(connection, row.job_id, row.lease_token, by=self._worker)
        return self._take(connection, row.job_id, row.lease_token, kind)

    def _take(self, connection: Connection, job_id: str, token: str, kind: JobKind) -> Job | None:
        mine = (
            jobs.c.lease_token == token,
            jobs.c.state == states.RUNNING,
            jobs.c.lease_until < now(),
        )
        last = jobs.c.takeovers >= MOST_TAKEOVERS - 1
        left = {
            "takeovers": jobs.c.takeovers + 1,
            "lease_token": None,
            "lease_until": None,
        }
        job = change(
            connection,
            job_id,
            *mine,
            ~last,
            state=states.WAITING,
            reason=_DIED,
            next_attempt_at=now(),
            hinted_at=None,
            **left,
        )
        if job is not None:
            return self._passed_on(connection, job)
        name, message = kind.died_often
        job = change(
            connection,
            job_id,
            *mine,
            last,
            state=states.FAILED,
            reason=message,
            error=name.stored(message),
            next_attempt_at=None,
            **left,
        )
        if job is not None:
            record_end(connection, job, states.RUNNING, by=self._worker, own_task=None)
        return job

    def _passed_on(self, connection: Connection, job: Job) -> Job:
        if job.cancel_requested:
            why = "cancelled; its worker stopped responding"
            cancelled = cancel_open(
                connection, job.job_id, states.RUNNING, by=self._worker, why=why
            )
            assert cancelled is not None
            return cancelled
        step = (states.RUNNING, states.WAITING)
        append_audit(connection, job.job_id, step, by=self._worker, why=_DIED)
        return job
