"""Quarantine: a restored ledger may not know of calls that were placed, so it places none."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy import Connection, insert, select, update

from config.error_names import ErrorName

from .alerts import EVERY_ACCOUNT, QUARANTINE, Alert, close_alerts, open_alert
from .call_outcomes import KIND, UNKNOWN, owe_decision
from .core import states
from .core.database import Database
from .core.job import Job
from .core.opening import Request, insert_job
from .core.prepared import Prepared
from .core.schema import calls, jobs, ledger
from .core.transitions import append_audit, change, record_end

#: The explanation of quarantine for people, with what to do.
MEANING = (
    "a certified call that the ledger does not know is not placed and needs a decision; all other "
    "work continues"
)
WAY_OUT = (
    "compare the calls in the provider's panel with those in the ledger, then run: "
    "earwitness quarantine --lift --by WHO --note WHY"
)
#: The cause of the quarantine's alert.
CAUSE = QUARANTINE
_REASON = (
    "unknown: the ledger was restored and does not know whether this call was placed; nothing was "
    "sent this time; check the provider's panel, then run: earwitness resolve"
)
#: The states of a call before anything was sent.
_BEFORE_SENDING = (states.PENDING, states.WAITING, states.RUNNING)
_UNSENT = (
    select(jobs.c.job_id, jobs.c.state)
    .where(jobs.c.kind == KIND, jobs.c.state.in_(_BEFORE_SENDING))
    .order_by(jobs.c.job_id)
)
#: How many calls one transaction withholds: it takes some ten milliseconds.
_WITHHELD_AT_ONCE = 8
#: The words for the two changes in the audit of the ledger itself.
QUARANTINED = "quarantined"
_OPEN = "open"

_QUARANTINED = Prepared(select(ledger.c.quarantined).with_for_update(read=True))


def is_quarantined(connection: Connection) -> bool:
    """Return whether calls are withheld. If the answer is no, a new quarantine waits until this
    transaction ends, and then finds the job that it opens.
    """
    return bool(_QUARANTINED.value(connection))


def open_withheld(connection: Connection, request: Request, *, by: str) -> Job | None:
    """Open a call that needs a decision at once; return None outside quarantine."""
    if not is_quarantined(connection):
        return None
    opened, _ = insert_job(connection, replace(request, details=None, due_at=None), by=by)
    job = withhold(connection, opened.job_id, states.PENDING, by=by)
    assert job is not None
    return job


def withhold(connection: Connection, job_id: str, before: str, *, by: str) -> Job | None:
    """Make a call of which nothing was sent under this ledger wait for a decision; return None if
    the call is no longer in the state ``before``. The call's holder loses its lease.
    """
    job = change(
        connection,
        job_id,
        jobs.c.state == before,
        state=states.NEEDS_DECISION,
        reason=_REASON,
        error=ErrorName.UNCERTAIN.stored(_REASON),
        next_attempt_at=None,
        lease_token=None,
        lease_until=None,
    )
    if job is None:
        return None
    undecided_call = update(calls).where(calls.c.job_id == job_id).values(outcome=UNKNOWN)
    if not connection.execute(undecided_call).rowcount:
        connection.execute(insert(calls).values(job_id=job_id, outcome=UNKNOWN, receipts=0))
    owe_decision(connection, job)
    record_end(connection, job, before, by=by, own_task=None)
    return job


def begin(connection: Connection, *, by: str, why: str) -> None:
    """Quarantine the ledger, and hold every call that has not left yet: it may have left after the
    restored copy was made.

    A held call has no holder and is not due, so no worker can send it. `withhold_calls` must follow
    once this is committed.
    """
    _mark(connection, quarantined=True, by=by, why=why)
    connection.execute(_UNSENT.with_for_update(key_share=True))
    connection.execute(
        update(jobs)
        .where(jobs.c.kind == KIND, jobs.c.state.in_(_BEFORE_SENDING))
        .values(lease_token=None, lease_until=None, next_attempt_at=None, hinted_at=None)
    )


def withhold_calls(database: Database, *, by: str) -> None:
    """In quarantine, let every held call wait for a decision, a few in each transaction."""
    while database.write(partial(_withhold_some, by=by)):
        pass


def finish(database: Database) -> None:
    """Withhold the calls of a quarantine whose process died before it had withheld all."""
    if database.read(_holds_calls):
        withhold_calls(database, by="ledger")


def _withhold_some(connection: Connection, *, by: str) -> bool:
    """Withhold a few calls; return whether there may be more."""
    if not is_quarantined(connection):
        return False
    some = _UNSENT.limit(_WITHHELD_AT_ONCE).with_for_update(key_share=True)
    found = connection.execute(some).all()
    for row in found:
        withhold(connection, row.job_id, row.state, by=by)
    return len(found) == _WITHHELD_AT_ONCE


def _holds_calls(connection: Connection) -> bool:
    if not connection.execute(select(ledger.c.quarantined)).scalar_one():
        return False
    return connection.execute(_UNSENT.limit(1)).first() is not None


def lift(connection: Connection, *, by: str, note: str) -> None:
    """End the quarantine: new certified calls are opened as usual, and calls that need a decision
    still need one.
    """
    _mark(connection, quarantined=False, by=by, why=note)


def _mark(connection: Connection, *, quarantined: bool, by: str, why: str) -> None:
    identity = connection.execute(
        update(ledger)
        .where(ledger.c.quarantined.is_(not quarantined))
        .values(quarantined=quarantined)
        .returning(ledger.c.identity)
    ).scalar_one_or_none()
    if identity is not None:
        step = (_OPEN, QUARANTINED) if quarantined else (QUARANTINED, _OPEN)
        append_audit(connection, identity, step, by=by, why=why)
        if quarantined:
            message = f"the ledger is in quarantine ({why}): {MEANING}; {WAY_OUT}"
            open_alert(connection, Alert(CAUSE, QUARANTINE, EVERY_ACCOUNT, message))
        else:
            close_alerts(connection, [CAUSE])
