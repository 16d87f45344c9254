"""The ends of certified calls: outcomes, decisions, and receipts."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Integer, Row, String, and_, case, null, select, update

from config.error_names import ErrorName
from config.version import VERSION

from .alert_rules import decision_cause
from .alerts import DECISION, Alert, open_alert
from .core import states
from .core.database import now
from .core.job import Job, iso
from .core.outbox import owe
from .core.prepared import Prepared, parameter
from .core.schema import calls, jobs
from .core.transitions import change, record_end

#: The kind of certified calls' jobs.
KIND = "certified_call.request"

PLACED = "placed"
REFUSED = "refused"
UNKNOWN = "unknown"
RESOLVED = "resolved"
UNSENT = "unsent"

#: The error of a call whose workers died repeatedly before anything was sent.
DIED_UNSENT = (
    ErrorName.UNREACHABLE,
    (
        "not done: its worker died five times before anything was sent; see the workers' logs; to "
        "place the call, use a new request id"
    ),
)
#: The reason that no certified call is retried.
NEVER_REPEATED = "not done: a certified call is never retried; to call again, use a new request id"

_SENDER_DIED = (
    "its worker stopped responding while it requested the call; the call was not retried; check "
    "the provider's panel, then run: earwitness resolve"
)

_SAID = parameter("said", String())
_STATUS = parameter("status", Integer())
_ONE_MORE = calls.c.receipts + 1
#: When the request left, once the outcome is known. A receipt that reported it stays true.
_SENT_AT = case((and_(_SAID == UNSENT, calls.c.receipts == 0), null()), else_=calls.c.sent_at)
#: What the outcome of a request changes in its call.
OUTCOME: dict[str, Any] = {
    "outcome": _SAID,
    "sent_at": _SENT_AT,
    "answered_at": case((_STATUS.is_not(None), now()), else_=calls.c.answered_at),
    "http_status": _STATUS,
    "answer": parameter("answer"),
    "platform_phone": parameter("platform_phone"),
    "error_message": parameter("error_message"),
    "receipts": case((_SENT_AT.is_not(None), _ONE_MORE), else_=calls.c.receipts),
}
_NOTE_OUTCOME = Prepared(
    update(calls).where(calls.c.job_id == parameter("job")).values(**OUTCOME).returning(*calls.c)
)
#: What a receipt says of a call's row.
RECEIPT_FIELDS = (
    "sent_at",
    "answered_at",
    "outcome",
    "platform_phone",
    "error_message",
    "http_status",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request that may have left.

    ``outcome`` is placed, refused, unknown, or unsent if certainly nothing left; ``answer`` holds
    the raw bytes that arrived.
    """

    state: str
    outcome: str
    reason: str | None = None
    error: dict[str, str] | None = None
    result: dict[str, Any] | None = None
    http_status: int | None = None
    answer: bytes = field(default=b"", repr=False)
    platform_phone: str | None = None
    error_message: str | None = None


def await_decision(connection: Connection, job_id: str, token: str, *, by: str) -> Job | None:
    """Let a call whose sender is dead wait for a decision. The sender's token stays valid, so that
    its true answer is kept if the sender wakes up.
    """
    c, reason = jobs.c, f"unknown: {_SENDER_DIED}"
    job = change(
        connection,
        job_id,
        c.lease_token == token,
        c.state == states.SENDING,
        c.lease_until < now(),
        state=states.NEEDS_DECISION,
        reason=reason,
        error=ErrorName.UNCERTAIN.stored(reason),
        next_attempt_at=None,
        lease_until=None,
    )
    if job is None:
        return None
    owe_receipt(connection, job)
    owe_decision(connection, job)
    record_end(connection, job, states.SENDING, by=by, own_task=None)
    return job


def decide(connection: Connection, job: Job, *, placed: bool, by: str, note: str) -> Job | None:
    """End a call that needs a decision as a person decides; return the job afterwards, also if the
    same was decided before. Return None if the call is, or was, in another state.
    """
    previous = connection.execute(
        select(calls.c.outcome).where(calls.c.job_id == job.job_id)
    ).scalar_one_or_none()
    state = states.DONE if placed else states.FAILED
    if previous == RESOLVED and job.state == state:
        return job
    words = f"decided by {by}: the call was {'' if placed else 'not '}placed; {note}"
    failure = f"not done: {words}; to place the call, use a new request id"
    after = change(
        connection,
        job.job_id,
        jobs.c.state == states.NEEDS_DECISION,
        state=state,
        reason=words if placed else failure,
        error=None if placed else ErrorName.REJECTED.stored(failure),
        result={"state": states.DONE, "platform_phone": None} if placed else None,
    )
    if after is None:
        return None
    decided_at = connection.execute(
        update(calls).where(calls.c.job_id == job.job_id).values(outcome=RESOLVED).returning(now())
    ).scalar_one()
    decision = "placed" if placed else "not placed"
    # Every decision has a receipt, even if this ledger knows of no sending: a ledger that is
    # rebuilt from the archive learns of the decision from the receipt alone.
    owe_receipt(connection, after, decided=decision, by=by, note=note, decided_at=iso(decided_at))
    record_end(connection, after, states.NEEDS_DECISION, by=by, own_task=None)
    return after


def owe_decision(connection: Connection, job: Job) -> None:
    """Open the alert that a call waits for a person's decision."""
    message = f"certified call {job.job_id} ({job.account}) needs a decision: {job.reason}"
    cause = decision_cause(job.job_id)
    open_alert(connection, Alert(cause, DECISION, job.account, message, job.job_id))


def note_outcome(connection: Connection, job: Job, outcome: Outcome) -> None:
    """Store the outcome of a call, and owe its receipt if the request may have left. A call of
    which nothing left, and was never reported to have left, is returned to the daily quota.
    """
    row = _NOTE_OUTCOME.row(connection, **outcome_parameters(job.job_id, outcome))
    assert row is not None
    if row.sent_at is not None:
        _owe_receipt_of(connection, job, row)


def outcome_parameters(job_id: str, outcome: Outcome) -> dict[str, Any]:
    """Return the parameters of ``OUTCOME`` and, as ``job``, the call's job."""
    return {
        "job": job_id,
        "said": outcome.outcome,
        "status": outcome.http_status,
        "answer": outcome.answer or None,
        "platform_phone": outcome.platform_phone,
        "error_message": outcome.error_message,
    }


def forget_sending(connection: Connection, job_id: str) -> None:
    """Note that nothing of a call left after all. The reports in existing receipts stay."""
    connection.execute(
        update(calls)
        .where(calls.c.job_id == job_id, calls.c.receipts == 0)
        .values(sent_at=None, outcome=None)
    )


def owe_receipt(connection: Connection, job: Job, **decision: str | None) -> None:
    """Owe the receipt of the current outcome. The obligation holds everything that the receipt says
    besides the request itself, so that every writer writes the same bytes.
    """
    row = connection.execute(
        update(calls)
        .where(calls.c.job_id == job.job_id)
        .values(receipts=_ONE_MORE)
        .returning(*calls.c)
    ).one()
    _owe_receipt_of(connection, job, row, **decision)


def _owe_receipt_of(
    connection: Connection, job: Job, row: Row[Any], **decision: str | None
) -> None:
    receipt = {
        **{name: getattr(row, name) for name in RECEIPT_FIELDS},
        "answer": base64.b64encode(row.answer or b"").decode(),
        **decision,
        "version": VERSION,
    }
    owe(connection, job.job_id, job.account, "receipt", {"number": row.receipts, **receipt})
