"""Certified calls: each is requested at most once, and its outcome is recorded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, case, exists, select, update

from . import call_statements
from .alerts import CONTRADICTION, Alert, open_alert
from .call_outcomes import (
    RESOLVED,
    Outcome,
    forget_sending,
    note_outcome,
    owe_decision,
)
from .call_rules import IS_NEWS, MAY_LEAVE, SENT, SENT_WHY, SETTLED
from .core import states
from .core.database import Database, now
from .core.job import Job, iso
from .core.leases import Lease, Leases
from .core.prepared import Prepared, parameter
from .core.schema import calls, jobs
from .core.transitions import append_audit, cancel_open, change, changing, find, record_end
from .daily_quota import Cap, reserved_today
from .errors import CapReached, Expired, LeaseLost, LedgerError, NotPossible
from .quarantine import is_quarantined, withhold

#: Nothing is sent if the commit that allows the bytes to leave takes longer, in seconds.
MOST_COMMIT_SECONDS = 2.0

_SEND = Prepared(changing(parameter("job"), *MAY_LEAVE, state=states.SENDING), Job)
_SENT = Prepared(update(calls).where(calls.c.job_id == parameter("job")).values(**SENT))
_SETTLE = Prepared(changing(parameter("job"), *IS_NEWS, **SETTLED), Job)


class Calls:
    """The steps of a certified call, each in one transaction of the ledger."""

    def __init__(self, database: Database, leases: Leases, worker: str) -> None:
        self._database = database
        self._leases = leases
        self._worker = worker

    def send(self, lease: Lease, cap: Cap) -> None:
        """Note, immediately before the first byte, that the request may leave from now on.

        Raises NotPossible (the call was cancelled), Expired, CapReached and LeaseLost (also if the
        sending was noted before, even by the same holder): then nothing may leave. Raises
        LedgerAway when the ledger cannot answer.
        """
        lease.check()
        if not lease.sending.acquire(blocking=False):
            raise _lost(lease)
        try:
            self._note_sending(lease, cap)
        finally:
            lease.sending.release()

    def _note_sending(self, lease: Lease, cap: Cap) -> None:
        patience = min(lease.trusted_seconds(), MOST_COMMIT_SECONDS)
        earlier = lease.sending_noted
        noted = False

        def at_once(connection: Connection) -> bool | None:
            nonlocal noted
            # Before the statement: if its answer is lost, it may be written. An earlier call that
            # may have been written already permits nothing to this one.
            noted, lease.sending_noted = not earlier, True
            done = call_statements.send(connection, lease, cap, worker=self._worker)
            if done is None:
                noted, lease.sending_noted = False, earlier
            return done

        def work(connection: Connection) -> bool:
            nonlocal noted
            # Only a commit of this very call, whose answer was lost, permits the state found here.
            if not (noted and _sending(connection, lease)):
                self._send(connection, lease, cap)
            noted = lease.sending_noted = True
            return True

        self._database.write(work, patience_seconds=max(patience, 0.1), at_once=at_once)

    def store_outcome(self, lease: Lease, outcome: Outcome, *, own_task: str | None) -> Job:
        """Store the outcome of the request, with everything that follows from it.

        The sender's own token is enough until a person has decided, even in *needs_decision*. After
        a decision, the outcome becomes a line of the history and an alert. Returns the job
        afterwards.
        """
        job = self._database.write(
            lambda connection: self._answered(connection, lease, outcome, own_task),
            at_once=lambda connection: call_statements.answered(
                connection, lease, outcome, own_task=own_task, worker=self._worker
            ),
        )
        self._leases.drop(lease)
        return job

    def take_back(
        self,
        lease: Lease,
        reason: str,
        *,
        seconds: float,
        work: dict[str, Any],
        unsent: Outcome,
        own_task: str | None,
    ) -> Job:
        """Let a call wait and be tried again, because its sender knows that no byte left.

        Only the sender's own token can do this, while the call is *running* or *sending*. The call
        waits for ``seconds``, at most until ``not_after``, and keeps its place in the daily quota.
        Once the sender was taken for dead, the call needs a decision and its caller knows that:
        then ``unsent`` ends the call, and no worker tries it again. Returns the job afterwards;
        raises LeaseLost if another worker has it.
        """
        values = {"reason": reason, "work": work, "next_attempt_at": _due_in(seconds)}

        def write(connection: Connection) -> Job:
            # The row's lock decides between this change and a commit of ``send`` in progress.
            row = connection.execute(
                select(jobs.c.state, jobs.c.lease_token)
                .where(jobs.c.job_id == lease.job_id)
                .with_for_update()
            ).one()
            is_own = row.lease_token == lease.token
            if is_own and row.state in (states.RUNNING, states.SENDING):
                return self._taken_back(connection, lease.job_id, row.state, values)
            job = find(connection, lease.job_id)
            assert job is not None
            if is_own and job.state == states.WAITING:
                return job  # the commit that took the call back succeeded, but its answer was lost
            if not job.ended:
                raise _lost(lease)
            return self._answered(connection, lease, unsent, own_task)

        job = self._database.write(write)
        self._leases.drop(lease)
        return job

    def of_job(self, job_id: str) -> dict[str, Any] | None:
        """Return what is known of a call: outcome, sent_at, answered_at (ISO 8601), http_status,
        answer, platform_phone, error_message. Return None if the job is no certified call.
        """
        row = self._database.read(
            lambda connection: connection.execute(
                select(calls).where(calls.c.job_id == job_id)
            ).one_or_none()
        )
        if row is None:
            return None
        return {
            "outcome": row.outcome,
            "sent_at": iso(row.sent_at),
            "answered_at": iso(row.answered_at),
            "http_status": row.http_status,
            "answer": (row.answer or b"").decode("utf-8", "replace"),
            "platform_phone": row.platform_phone,
            "error_message": row.error_message,
        }

    def _send(self, connection: Connection, lease: Lease, cap: Cap) -> None:
        if self._database.is_sqlite and call_statements.send(
            connection, lease, cap, worker=self._worker
        ):
            return
        job = _SEND.row(connection, job=lease.job_id, token=lease.token)
        if job is None:
            raise _refusal(connection, lease)
        if not reserved_today(connection, job, cap):
            calls = f"{cap.limit} certified call{'s' * (cap.limit != 1)}"
            raise CapReached(
                f"held back: account {job.account!r} has reached its {calls} for today"
            )
        _SENT.run(connection, job=job.job_id)
        step = (states.RUNNING, states.SENDING)
        append_audit(connection, job.job_id, step, by=self._worker, why=SENT_WHY)

    def _taken_back(
        self, connection: Connection, job_id: str, before: str, values: dict[str, Any]
    ) -> Job:
        if is_quarantined(connection):
            # Another sender may have placed the call after the restored copy was made.
            job = withhold(connection, job_id, before, by=self._worker)
            assert job is not None
            return job
        waiting = {"state": states.WAITING, "hinted_at": None, "lease_until": None}
        taken_back = change(connection, job_id, **waiting, **values)
        assert taken_back is not None
        forget_sending(connection, job_id)
        if taken_back.cancel_requested:
            why = "cancelled while it ran"
            cancelled = cancel_open(connection, job_id, before, by=self._worker, why=why)
            assert cancelled is not None
            return cancelled
        step = (before, states.WAITING)
        append_audit(connection, job_id, step, by=self._worker, why=str(values["reason"]))
        return taken_back

    def _answered(
        self, connection: Connection, lease: Lease, outcome: Outcome, own_task: str | None
    ) -> Job:
        if self._database.is_sqlite:
            stored = call_statements.answered(
                connection, lease, outcome, own_task=own_task, worker=self._worker
            )
            if stored is not None:
                return stored
        for before in (states.SENDING, states.NEEDS_DECISION):
            job = _settled(connection, lease, outcome, before)
            if job is None:
                continue
            note_outcome(connection, job, outcome)
            if before == job.state:
                step = (before, before)
                append_audit(connection, job.job_id, step, by=self._worker, why=job.reason or "")
                return job
            if job.state == states.NEEDS_DECISION:
                owe_decision(connection, job)
            record_end(connection, job, before, by=self._worker, own_task=own_task)
            return job
        return self._too_late(connection, lease, outcome)

    def _too_late(self, connection: Connection, lease: Lease, outcome: Outcome) -> Job:
        """Handle an outcome that was decided or stored before.

        A person has decided already, or this very outcome is stored and its answer was lost. An
        outcome after a decision is kept once: the token is removed from the row with it.
        """
        heard = connection.execute(
            update(jobs)
            .where(jobs.c.job_id == lease.job_id, jobs.c.lease_token == lease.token)
            .where(exists().where(calls.c.job_id == jobs.c.job_id, calls.c.outcome == RESOLVED))
            .values(lease_token=None)
        )
        job = find(connection, lease.job_id)
        assert job is not None
        if not heard.rowcount:
            return job
        why = f"an answer arrived after the decision: {outcome.outcome}; {outcome.reason or 'OK'}"
        append_audit(connection, job.job_id, (job.state, job.state), by=self._worker, why=why)
        message = f"job {job.job_id} ({job.account}): {why}; compare it with the decision"
        cause = f"{CONTRADICTION}:answer:{job.job_id}"
        open_alert(connection, Alert(cause, CONTRADICTION, job.account, message, job.job_id))
        return job


def _settled(connection: Connection, lease: Lease, outcome: Outcome, before: str) -> Job | None:
    return _SETTLE.row(
        connection,
        job=lease.job_id,
        token=lease.token,
        before=before,
        after=outcome.state,
        reason=outcome.reason,
        error=outcome.error,
        result=outcome.result,
    )


def _sending(connection: Connection, lease: Lease) -> bool:
    return _own_state(connection, lease) == states.SENDING


def _own_state(connection: Connection, lease: Lease) -> str | None:
    return connection.execute(
        select(jobs.c.state).where(jobs.c.job_id == lease.job_id, jobs.c.lease_token == lease.token)
    ).scalar_one_or_none()


def _refusal(connection: Connection, lease: Lease) -> LedgerError:
    """Return the error that says why nothing may leave."""
    job = find(connection, lease.job_id)
    if job is not None and _own_state(connection, lease) == states.RUNNING:
        if job.cancel_requested:
            return NotPossible("not done: the job was cancelled while it ran")
        passed = connection.execute(select(now())).scalar_one()
        if job.not_after is not None and job.not_after <= passed:
            return Expired("not done: not_after had passed before anything was sent")
    return _lost(lease)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"the lease on job {lease.job_id} was lost; another worker continues the job")


def _due_in(seconds: float) -> ColumnElement[float]:
    """Return the time in ``seconds``, or ``not_after`` if that comes first."""
    then = now() + seconds
    return case((jobs.c.not_after < then, jobs.c.not_after), else_=then)
