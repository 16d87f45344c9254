"""The writes of a job's holder, each fenced by the lease's token."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, case

from . import holder_statements, states
from .database import Database, Result, now
from .fencing import (
    NOTED,
    POSTPONED,
    already_applied,
    announced_on,
    claim,
    fenced,
    fencing,
    mark_consumed,
    owns_lease,
    take,
)
from .job import Job
from .kinds import kind_of
from .leases import Lease, Leases
from .opening import Request, insert_job, open_or_join
from .outbox import owe
from .prepared import Prepared, parameter
from .schema import jobs
from .transitions import append_audit, cancel_open, newest_reason, record_end

_NOTE = fencing(**NOTED)
_POSTPONE = fencing(**POSTPONED)
_OPEN_PARTS = parameter("open_parts", jobs.c.open_parts.type)
_AWAIT_PARTS = fencing(
    state=states.WAITING,
    reason=parameter("reason"),
    next_attempt_at=case((_OPEN_PARTS == 0, now())),
    hinted_at=None,
    lease_until=None,
    open_parts=_OPEN_PARTS,
    work=parameter("work"),
    queue=parameter("queue"),
    takeovers=0,
)
_FINISH = fencing(
    state=parameter("state"),
    reason=parameter("reason"),
    result=parameter("result"),
    error=parameter("error"),
    next_attempt_at=None,
    lease_until=None,
    transfer=None,
)


class Execution:
    """Claim a job, note progress, postpone the job, end it."""

    def __init__(self, database: Database, leases: Leases, worker: str) -> None:
        self._database = database
        self._leases = leases
        self._worker = worker

    def claim(self, job_id: str, hint_no: int | None = None) -> tuple[Job, Lease] | None:
        """Claim a job that is due and held by no worker; return None if the job cannot be claimed.

        ``hint_no`` is the number of the hint that announced the job; the hint is marked as
        consumed.
        """
        token = str(uuid.uuid4())
        asked_at = time.monotonic()
        seconds = self._leases.seconds

        def work(connection: Connection) -> Job | None:
            queue = None if hint_no is None else announced_on(connection, job_id, hint_no)
            job = claim(connection, job_id, token, seconds, by=self._worker)
            if queue is not None and hint_no is not None:
                mark_consumed(connection, queue, hint_no)
            return job

        job = self._database.write(
            work,
            at_once=lambda connection: holder_statements.claim(
                connection, job_id, hint_no, token=token, seconds=seconds, by=self._worker
            ),
        )
        if job is None:
            return None
        lease = Lease(job_id, token, seconds, asked_at)
        self._leases.hold(lease)
        return job, lease

    def begin(
        self, request: Request, *, by: str, notify: dict[str, str] | None = None
    ) -> tuple[Job, Lease | None]:
        """Open the job of a request and claim it in the same transaction; or join an existing job,
        without a lease.

        Raises RequestConflict and the errors of the hooks of the job's kind; then nothing has
        changed.
        """
        token = str(uuid.uuid4())
        asked_at = time.monotonic()
        seconds = self._leases.seconds

        kind = kind_of(request.kind)
        hook = kind.begin_at_once

        def work(connection: Connection) -> tuple[Job, bool, bool]:
            if self._database.is_sqlite and (begun := at_once(connection)):
                return begun
            job, number = open_or_join(connection, request, by=by, notify=notify)
            if number is None:
                return job, owns_lease(connection, job.job_id, token), False
            held = take(connection, job, token, seconds, by=self._worker)
            if held is None:
                # The database's clock was set back just now: the job is not due yet.
                return job, False, False
            return held, True, kind.finds_no_pause(connection, job.account)

        def at_once(connection: Connection) -> tuple[Job, bool, bool] | None:
            if hook is None:
                return None
            job = hook(
                connection,
                request,
                token=token,
                seconds=seconds,
                by=by,
                worker=self._worker,
                notify=notify,
            )
            return None if job is None else (job, True, True)

        job, mine, is_free = self._database.write(work, at_once=None if hook is None else at_once)
        if not mine:
            return job, None
        lease = Lease(job.job_id, token, seconds, asked_at)
        lease.found_no_pause = is_free
        self._leases.hold(lease)
        return job, lease

    def note(self, lease: Lease, work: dict[str, Any], *, why: str | None = None) -> None:
        """Store how far the work has come and, with ``why``, a line of the job's history, unless
        its newest line says the same. Raises LeaseLost.
        """

        def write(connection: Connection) -> bool:
            if fenced(connection, lease, _NOTE, work=work) is None:
                already_applied(connection, lease, states.RUNNING)
            elif why is not None and newest_reason(connection, lease.job_id) != why:
                step = (states.RUNNING, states.RUNNING)
                append_audit(connection, lease.job_id, step, by=self._worker, why=why)
            return True

        self._write(
            lease,
            write,
            lambda connection: holder_statements.note(
                connection, lease, work, why, by=self._worker
            ),
        )

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
        """Let the job wait for ``seconds``, or, if None, until another change makes it due.

        With ``progressed``, the count of the job's dead workers starts again. A job that was to be
        cancelled ends here instead. Raises LeaseLost.
        """
        values = {
            "reason": reason,
            "seconds": seconds,
            "work": work,
            "queue": queue,
            "takeovers": 0 if progressed else None,
        }
        self._write(
            lease,
            lambda connection: self._waits(connection, lease, _POSTPONE, values),
            lambda connection: holder_statements.postpone(
                connection, lease, values, by=self._worker
            ),
        )
        self._leases.drop(lease)

    def await_parts(
        self, lease: Lease, parts: list[Request], *, work: dict[str, Any], queue: str
    ) -> list[tuple[Job, int]]:
        """Open a job for every part and let this job wait until the last part has ended, all in one
        transaction.

        Returns the parts with the numbers of their first hints; none if the job was to be cancelled
        and ends here instead. Raises LeaseLost.
        """
        values = {
            "reason": f"waits for {len(parts)} part{'s' * (len(parts) != 1)}",
            "open_parts": len(parts),
            "work": work,
            "queue": queue,
        }

        def write(connection: Connection) -> list[tuple[Job, int]]:
            if not self._waits(connection, lease, _AWAIT_PARTS, values):
                return []
            inserted = [insert_job(connection, part, by=self._worker) for part in parts]
            return [(job, number) for job, number in inserted if number is not None]

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
        obligations: list[tuple[str, dict[str, Any]]] | None = None,
        own_task: str | None = None,
        contradicts: str | None = None,
    ) -> Job:
        """End the job and write everything that follows from its end.

        ``obligations`` adds (kind, payload) to the outbox. ``contradicts`` is the path in the
        archive that holds something else than the job would keep. Raises LeaseLost if another
        worker holds the job by now: then nothing was stored.
        """
        values = {
            "state": state,
            "reason": reason,
            "result": result,
            "error": error,
        }

        def write(connection: Connection) -> Job:
            job = fenced(connection, lease, _FINISH, **values)
            if job is None:
                return already_applied(connection, lease, state)
            for kind, payload in obligations or []:
                owe(connection, job.job_id, job.account, kind, payload)
            record_end(
                connection,
                job,
                states.RUNNING,
                by=self._worker,
                own_task=own_task,
                contradicts=contradicts,
            )
            return job

        job = self._write(lease, write)
        self._leases.drop(lease)
        return job

    def _waits(
        self,
        connection: Connection,
        lease: Lease,
        statement: Prepared[Job],
        values: dict[str, Any],
    ) -> bool:
        """Return whether the held job waits now. The job does not wait if it waited already before
        this run was repeated, nor if it was to be cancelled, which is possible now that no worker
        holds it.
        """
        job = fenced(connection, lease, statement, **values)
        if job is None:
            already_applied(connection, lease, states.WAITING, states.CANCELLED)
            return False
        if job.cancel_requested:
            cancel_open(
                connection,
                job.job_id,
                states.RUNNING,
                by=self._worker,
                why="cancelled while it ran",
            )
            return False
        reason = str(values["reason"])
        step = (states.RUNNING, states.WAITING)
        append_audit(connection, job.job_id, step, by=self._worker, why=reason)
        return True

    def _write(
        self,
        lease: Lease,
        write: Callable[[Connection], Result],
        at_once: Callable[[Connection], Result | None] | None = None,
    ) -> Result:
        lease.check()
        patience = max(lease.trusted_seconds(), 0.1)
        return self._database.write(write, patience_seconds=patience, at_once=at_once)
