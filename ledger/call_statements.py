"""The steps of a certified call as combined statements: one round trip to PostgreSQL each.

Each writes what the step's separate statements write, by the same rules, or writes nothing and
returns None. It writes nothing in all rarer cases (a refusal, a join, a quarantine, a change of
day, a pause, a notification, an open alert), which the separate statements then handle.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from config.version import VERSION

from .accounts import IS_PAUSED
from .alert_rules import causes_of_signed_in
from .alerts import credentials_cause
from .call_outcomes import (
    OUTCOME,
    PLACED,
    RECEIPT_FIELDS,
    UNKNOWN,
    Outcome,
    outcome_parameters,
)
from .core import states
from .core.combined import inserting, inserting_both, pipelined
from .core.database import now, once_committed
from .core.fencing import TAKEN, TAKEN_UP
from .core.job import COLUMNS, Job
from .core.leases import Lease
from .core.opening import (
    FIRST_HINT,
    NEW_JOB,
    NEXT_HINT,
    OPENED,
    WAITER,
    Request,
    parameters_of,
)
from .core.outbox import OBLIGATION
from .core.prepared import Prepared, parameter
from .core.schema import (
    alerts,
    audit,
    call_days,
    calls,
    jobs,
    ledger,
    obligations,
    queues,
    waiters,
)
from .core.transitions import (
    LINE,
    OWN_ANSWER_SECONDS,
    changing,
    lock,
    tell_listeners,
)
from .daily_quota import FIRST_CALL, IS_FULL, NEXT_CALL, RESERVED, Cap, is_reserved

_DAY_BEGINS = cast(parameter("day_begins"), Double)
_DAY_ENDS = cast(parameter("day_ends"), Double)
#: The day that the statement was given is the account's day by the database's clock.
_IS_DAY = and_(now() >= _DAY_BEGINS, now() < _DAY_ENDS)

#: The conditions under which a call may leave, apart from the daily quota.
MAY_LEAVE = (
    jobs.c.lease_token == parameter("token"),
    jobs.c.state == states.RUNNING,
    jobs.c.lease_until > now(),
    jobs.c.cancel_requested.is_(False),
    jobs.c.not_after.is_(None) | (jobs.c.not_after > now()),
)
#: What the sending changes in its call.
SENT: dict[str, Any] = {"sent_at": now(), "outcome": UNKNOWN}
SENT_WHY = "the request may have been sent"

_AFTER, _REASON = parameter("after"), parameter("reason", jobs.c.reason.type)
#: The conditions under which a sender's outcome is stored. If it is stored already, the answer to
#: its commit was lost.
IS_NEWS = (
    jobs.c.lease_token == parameter("token"),
    jobs.c.state == parameter("before"),
    or_(jobs.c.state != _AFTER, jobs.c.reason.is_distinct_from(_REASON)),
)
SETTLED: dict[str, Any] = {
    "state": _AFTER,
    "reason": _REASON,
    "error": parameter("error"),
    "result": parameter("result"),
    "next_attempt_at": None,
    "lease_until": None,
}


def _begin(_insert: Any) -> Select[Any]:
    ready = (
        select(literal_column("1"))
        .where(
            ~ledger.c.quarantined,
            _IS_DAY,
            ~exists().where(jobs.c.job_id == parameter("job_id")),
            ~IS_FULL,
            ~exists().where(*IS_PAUSED),
        )
        .with_for_update(read=True)
        .cte("ready")
    )
    counted = inserting(queues, FIRST_HINT, ready).on_conflict_do_update(**NEXT_HINT)
    hint = counted.returning(queues.c.last_no).cte("hint")
    taken = {**NEW_JOB, **TAKEN, "attempts": NEW_JOB["attempts"] + 1, "hint_no": hint.c.last_no}
    job = inserting(jobs, taken, hint).returning(*COLUMNS).cte("job")
    reserved = inserting(call_days, FIRST_CALL, job).on_conflict_do_update(**NEXT_CALL)
    day = reserved.returning(call_days.c.calls).cte("day")
    call = inserting(calls, RESERVED, day).cte("call")
    line = {**LINE, "job_id": job.c.job_id}
    opened = {**line, "from_state": None, "to_state": states.PENDING, "why": OPENED}
    up = {"from_state": states.PENDING, "to_state": states.RUNNING, "why": TAKEN_UP}
    lines = inserting_both(audit, opened, {**line, **up, "by": parameter("worker")}, job)
    waiter = inserting(waiters, {**WAITER, "job_id": job.c.job_id, "due_at": None}, job)
    # If the day's last call was taken meanwhile, the division fails, and nothing is written.
    taken_calls = select(func.count()).select_from(day).scalar_subquery()
    return select(*job.c, literal_column("1").op("/")(taken_calls)).add_cte(
        call, lines.cte("lines"), waiter.cte("waiter")
    )


def _send(_insert: Any) -> Select[Any]:
    may = (*MAY_LEAVE, _IS_DAY, is_reserved(jobs.c.job_id, jobs.c.account))
    job = changing(parameter("job"), *may, state=states.SENDING).cte("job")
    call = update(calls).where(calls.c.job_id == job.c.job_id).values(**SENT).cte("call")
    step = {"from_state": states.RUNNING, "to_state": states.SENDING, "why": SENT_WHY}
    line = inserting(audit, {**LINE, **step, "job_id": job.c.job_id}, job).cte("line")
    return select(job.c.job_id).add_cte(call, line)


def _answer(_insert: Any) -> Select[Any]:
    own, mine = parameter("own", String()), waiters.c.job_id == parameter("job")
    named = [parameter("cause_1", String()), parameter("cause_2", String())]
    signed_in = literal(credentials_cause(""), String()) + jobs.c.account
    usual = (
        exists().where(calls.c.job_id == parameter("job"), calls.c.sent_at.is_not(None)),
        ~exists().where(mine, waiters.c.notify.is_not(None)),
        ~exists().where(waiters.c.task_id == own, ~mine),
        ~exists().where(alerts.c.cause.in_([*named, signed_in]), alerts.c.closed_at.is_(None)),
        jobs.c.parent_id.is_(None),
        jobs.c.request_id.not_like("%#%"),
    )
    job = changing(parameter("job"), *IS_NEWS, *usual, **SETTLED).cte("job")
    noted = update(calls).where(calls.c.job_id == job.c.job_id).values(**OUTCOME)
    call = noted.returning(*calls.c).cte("call")
    receipt = {
        "number": call.c.receipts,
        **{name: call.c[name] for name in RECEIPT_FIELDS},
        "answer": parameter("answer64", String()),
        "version": literal(VERSION, literal_execute=True),
    }
    named_parts = [
        part
        for name, value in receipt.items()
        for part in (literal(name, literal_execute=True), value)
    ]
    owed = {
        "job_id": job.c.job_id,
        "account": job.c.account,
        "kind": "receipt",
        "payload": func.json_build_object(*named_parts),
    }
    source = job.join(call, call.c.job_id == job.c.job_id)
    due = inserting(obligations, {**OBLIGATION, **owed}, source).cte("due")
    step = {"from_state": parameter("before"), "to_state": job.c.state}
    why = func.coalesce(job.c.reason, "")
    line = inserting(audit, {**LINE, **step, "job_id": job.c.job_id, "why": why}, job).cte("line")
    answers = (
        update(waiters)
        .where(waiters.c.job_id == job.c.job_id, waiters.c.answered_at.is_(None))
        .values(due_at=case((waiters.c.task_id == own, now() + OWN_ANSWER_SECONDS), else_=now()))
        .cte("answers")
    )
    return select(*job.c).add_cte(due, line, answers)


_BEGIN = Prepared(_begin, lambda *row: Job(*row[:-1]))
_SEND: Prepared[Any] = Prepared(_send)
_ANSWER = Prepared(_answer, Job)
STATEMENTS: Sequence[Prepared[Any]] = (_BEGIN, _SEND, _ANSWER)


def begin(
    connection: Connection,
    request: Request,
    *,
    token: str,
    seconds: float,
    by: str,
    worker: str,
    notify: dict[str, str] | None,
) -> Job | None:
    """Open a call that is due now, and give it to the holder of ``token`` for ``seconds``; return
    the job, or None if nothing was written.
    """
    cap: Cap | None = request.details
    is_usual = request.task_id is not None and request.due_at is None and request.companion is None
    if cap is None or cap.limit < 1 or not is_usual:
        return None
    return _BEGIN.row(
        connection,
        **parameters_of(request),
        task=request.task_id,
        for_job=request.job_id,
        job=request.job_id,
        notify=notify,
        token=token,
        seconds=seconds,
        by=by,
        worker=worker,
        **_today(cap),
        of_account=request.account,
    )


def send(connection: Connection, lease: Lease, cap: Cap, *, worker: str) -> bool | None:
    """Note that a call may leave from now on; return None if nothing was written."""
    row = _SEND.row(connection, job=lease.job_id, token=lease.token, by=worker, **_today(cap))
    return None if row is None else True


def answered(
    connection: Connection, lease: Lease, outcome: Outcome, *, own_task: str | None, worker: str
) -> Job | None:
    """Store that a call was placed; return the job, or None if nothing was written."""
    if outcome.outcome != PLACED or outcome.state != states.DONE:
        return None
    first, second = causes_of_signed_in(lease.job_id)
    with pipelined(connection):
        # A task that joins the job meanwhile holds this lock, and is seen once it has let go.
        lock(connection, lease.job_id)
        stored = _ANSWER.row_later(
            connection,
            token=lease.token,
            before=states.SENDING,
            after=outcome.state,
            reason=outcome.reason,
            error=outcome.error,
            result=outcome.result,
            **outcome_parameters(lease.job_id, outcome),
            answer64=base64.b64encode(outcome.answer or b"").decode(),
            own=own_task,
            cause_1=first,
            cause_2=second,
            by=worker,
        )
    job = stored()
    if job is not None:
        once_committed(connection, partial(tell_listeners, job))
    return job


def _today(cap: Cap) -> dict[str, Any]:
    """Return the account's day by this host's clock, and its bounds: the statement compares them
    with the clock of the database.
    """
    day: date = cap.day(time.time())
    begins, ends = cap.bounds(day)
    return {"of_day": day, "day_begins": begins, "day_ends": ends, "limit": cap.limit}
