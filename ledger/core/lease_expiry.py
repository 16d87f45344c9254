"""The jobs of dead workers: taken from them, and failed after too many deaths.

A worker that lives loses its leases, too, while the ledger is away. That is no death, and does not
count towards the limit.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection, exists, select

from ledger.errors import LedgerAway, UnknownKind

from . import held, states
from .database import Database, now, now_once
from .job import Job
from .kinds import JobKind, kind_of
from .leases import Lease, Leases
from .schema import audit, jobs
from .transitions import append_audit, cancel_open, change, find_locked, record_end

_log = logging.getLogger(__name__)

#: The fifth dead worker ends the job: the job probably kills every worker that claims it.
MOST_TAKEOVERS = 5

_DIED = "its worker stopped responding; another worker continues"
_LEDGER_WAS_AWAY = "the ledger was unavailable for longer than the lease; a worker continues"
_FORGIVEN = "its worker is alive: it lost the lease because the ledger was unavailable; not counted"
_DOES_NOT_ANSWER = "the {obstacle} has not answered for {seconds:.0f} s; the job will be retried"
#: A renewal may have been asked for so long before it was written: this part of a lease.
_MARGIN_PART = 1 / 6


class LeaseExpiry:
    """Takes jobs from dead workers; the sweeper does this first in each round."""

    def __init__(self, database: Database, leases: Leases, worker: str) -> None:
        self._database = database
        self._leases = leases
        self._worker = worker
        self._abandoned: deque[tuple[Lease, float]] = deque()

    def abandon(self, lease: Lease, claimed_at: float) -> None:
        """Note that this process no longer works on a job, because it lost the lease.

        If the ledger was away meanwhile, the next `take_from_the_dead` lets the job continue at
        once, and takes back what another worker counted as this worker's death. ``claimed_at`` is
        the time of the claim by the ledger's clock.
        """
        if self._database.outages.any_between(lease.confirmed_at, time.monotonic()):
            self._abandoned.append((lease, claimed_at))

    def set_aside(
        self, lease: Lease, obstacle: str, seconds: float, *, again: Callable[[int], float]
    ) -> bool:
        """Let a job wait whose attempt has waited for an obstacle for so many seconds; return
        whether this process still held it.

        The attempt finds its lease lost when it comes back. No worker counts as dead. ``again``
        returns the seconds until the next try from the number of tries before. Raises LedgerAway.
        """

        def work(connection: Connection) -> bool:
            job = find_locked(connection, lease.job_id)
            if job is None:
                return False
            notes, times = dict(job.work), int(job.work.get(held.TRIES, 0))
            time_now: float = connection.execute(select(now())).scalar_one()
            held.noted(notes, obstacle, at=time_now - seconds, lasted=0)
            notes[held.TRIES] = times + 1
            mine = (jobs.c.lease_token == lease.token, jobs.c.state == states.RUNNING)
            why = _DOES_NOT_ANSWER.format(obstacle=obstacle, seconds=seconds)
            waits = {"next_attempt_at": now() + again(times), "work": notes}
            return self._due_again(connection, lease.job_id, why, *mine, **waits) is not None

        done = self._database.write(work)
        self._leases.drop(lease)
        return done

    def take_from_the_dead(self) -> list[Job]:
        """Take every running job whose lease has expired from its worker, and return the jobs
        afterwards.

        Each becomes due again, or ends *failed* at the fifth death, or *cancelled* if a person
        asked for that. For a job that was being sent, its kind decides. A lease that expired
        because the ledger was away shows no death: `died` tells the two apart.
        """
        self._give_back()
        dead = self._database.read(
            lambda connection: connection.execute(
                select(
                    jobs.c.job_id,
                    jobs.c.lease_token,
                    jobs.c.state,
                    jobs.c.kind,
                    (now_once() - jobs.c.lease_until).label("expired_for"),
                ).where(
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
                "could not take over job %s from its dead worker, will retry: %s", row.job_id, error
            )
            return None

    def _take_one(self, connection: Connection, row: Any) -> Job | None:
        kind = kind_of(row.kind)
        if row.state == states.SENDING:
            return kind.sender_lost(connection, row.job_id, row.lease_token, by=self._worker)
        if self._ledger_was_away(row.expired_for):
            return self._pass_on(connection, row.job_id, row.lease_token, _LEDGER_WAS_AWAY)
        return self._take(connection, row.job_id, row.lease_token, kind)

    def _ledger_was_away(self, expired_for: float) -> bool:
        """Return whether the ledger was away after the lease's last renewal, so that its worker
        could not renew it.
        """
        expired_at = time.monotonic() - expired_for
        renewed_at = expired_at - self._leases.seconds * (1 + _MARGIN_PART)
        return self._database.outages.any_between(renewed_at, expired_at)

    def _take(self, connection: Connection, job_id: str, token: str, kind: JobKind) -> Job | None:
        last = jobs.c.takeovers >= MOST_TAKEOVERS - 1
        job = self._pass_on(connection, job_id, token, _DIED, ~last, takeovers=jobs.c.takeovers + 1)
        if job is not None:
            return job
        name, message = kind.died_often
        job = change(
            connection,
            job_id,
            *_expired(token),
            last,
            state=states.FAILED,
            reason=message,
            error=name.stored(message),
            next_attempt_at=None,
            takeovers=jobs.c.takeovers + 1,
            **_NO_LEASE,
        )
        if job is not None:
            record_end(connection, job, states.RUNNING, by=self._worker, own_task=None)
        return job

    def _pass_on(
        self, connection: Connection, job_id: str, token: str, why: str, *more: Any, **values: Any
    ) -> Job | None:
        """Make a job whose lease has expired due for any worker; return None if it was not."""
        return self._due_again(connection, job_id, why, *_expired(token), *more, **values)

    def _due_again(
        self, connection: Connection, job_id: str, why: str, *conditions: Any, **values: Any
    ) -> Job | None:
        values = {"next_attempt_at": now(), **_NO_LEASE, **values}
        job = change(
            connection,
            job_id,
            *conditions,
            state=states.WAITING,
            reason=why,
            hinted_at=None,
            **values,
        )
        if job is None:
            return None
        if job.cancel_requested:
            cancelled = cancel_open(
                connection,
                job.job_id,
                states.RUNNING,
                by=self._worker,
                why=f"cancelled; {why.partition(';')[0]}",
            )
            assert cancelled is not None
            return cancelled
        step = (states.RUNNING, states.WAITING)
        append_audit(connection, job.job_id, step, by=self._worker, why=why)
        return job

    def _give_back(self) -> None:
        """Let the jobs continue that this process abandoned while the ledger was unavailable."""
        while self._abandoned:
            lease, claimed_at = self._abandoned[0]
            try:
                self._database.write(
                    partial(self._give_back_one, lease=lease, claimed_at=claimed_at)
                )
            except LedgerAway:
                raise
            except UnknownKind as error:
                _log.error("could not return job %s: %s", lease.job_id, error)
            self._abandoned.popleft()

    def _give_back_one(self, connection: Connection, lease: Lease, claimed_at: float) -> None:
        held = (jobs.c.lease_token == lease.token, jobs.c.state == states.RUNNING)
        if self._due_again(connection, lease.job_id, _LEDGER_WAS_AWAY, *held) is not None:
            return
        # Another worker, whose own connection was never lost, took the job as a dead worker's.
        since = (audit.c.job_id == lease.job_id, audit.c.at >= claimed_at)
        job = change(
            connection,
            lease.job_id,
            jobs.c.takeovers > 0,
            jobs.c.state.in_((*states.OPEN, states.RUNNING)),
            exists().where(*since, audit.c.why == _DIED),
            ~exists().where(*since, audit.c.why == _FORGIVEN),
            takeovers=jobs.c.takeovers - 1,
        )
        if job is not None:
            step = (job.state, job.state)
            append_audit(connection, job.job_id, step, by=self._worker, why=_FORGIVEN)


def died(job: Job) -> bool:
    """Return whether a job that `LeaseExpiry.take_from_the_dead` returned was a dead worker's."""
    return _LEDGER_WAS_AWAY.partition(";")[0] not in (job.reason or "")


_NO_LEASE = {"lease_token": None, "lease_until": None}


def _expired(token: str) -> tuple[Any, ...]:
    return (
        jobs.c.lease_token == token,
        jobs.c.state == states.RUNNING,
        jobs.c.lease_until < now(),
    )
