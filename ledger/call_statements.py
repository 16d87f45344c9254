"""The usual steps of a certified call: one statement of PostgreSQL each, or few of SQLite.

Each writes what the step's separate statements write, by the same rules, or writes nothing and
returns None. It writes nothing in all rarer cases (`ledger/call_rules.py`), which the separate
statements then handle.
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
    Select,
    String,
    func,
    literal,
    literal_column,
    select,
    update,
)

from config.version import VERSION

from . import call_short_steps
from .alert_rules import causes_of_signed_in
from .call_outcomes import OUTCOME, PLACED, RECEIPT_FIELDS, Outcome, outcome_parameters
from .call_rules import (
    ANSWERED,
    BEGUN,
    BEGUN_LINE,
    IS_DAY,
    IS_NEWS,
    IS_USUAL_ANSWER,
    IS_USUAL_BEGINNING,
    MAY_LEAVE,
    OPENED_LINE,
    SENT,
    SENT_WHY,
    SETTLED,
)
from .core import states
from .core.combined import inserting, inserting_both, pipelined
from .core.database import once_committed
from .core.job import COLUMNS, Job
from .core.leases import Lease
from .core.opening import CARRYING_WAITER, FIRST_HINT, NEXT_HINT, Request, parameters_of
from .core.outbox import OBLIGATION
from .core.prepared import Prepared, parameter
from .core.schema import audit, call_days, calls, jobs, obligations, queues, waiters
from .core.transitions import LINE, changing, lock, tell_listeners
from .daily_quota import FIRST_CALL, NEXT_CALL, RESERVED, Cap, is_reserved


def _begin(_insert: Any) -> Select[Any]:
    ready = (
        select(literal_column("1"))
        .where(*IS_USUAL_BEGINNING)
        .with_for_update(read=True)
        .cte("ready")
    )
    counted = inserting(queues, FIRST_HINT, ready).on_conflict_do_update(**NEXT_HINT)
    hint = counted.returning(queues.c.last_no).cte("hint")
    taken = {**BEGUN, "hint_no": hint.c.last_no}
    job = inserting(jobs, taken, hint).returning(*COLUMNS).cte("job")
    reserved = inserting(call_days, FIRST_CALL, job).on_conflict_do_update(**NEXT_CALL)
    day = reserved.returning(call_days.c.calls).cte("day")
    call = inserting(calls, RESERVED, day).cte("call")
    line = {**LINE, "job_id": job.c.job_id}
    lines = inserting_both(audit, {**line, **OPENED_LINE}, {**line, **BEGUN_LINE}, job)
    waiter = inserting(waiters, {**CARRYING_WAITER, "job_id": job.c.job_id, "due_at": None}, job)
    # If the day's last call was taken meanwhile, the division fails, and nothing is written.
    taken_calls = select(func.count()).select_from(day).scalar_subquery()
    return select(*job.c, literal_column("1").op("/")(taken_calls)).add_cte(
        call, lines.cte("lines"), waiter.cte("waiter")
    )


def _send(_insert: Any) -> Select[Any]:
    may = (*MAY_LEAVE, IS_DAY, is_reserved(jobs.c.job_id, jobs.c.account))
    job = changing(parameter("job"), *may, state=states.SENDING).cte("job")
    call = update(calls).where(calls.c.job_id == job.c.job_id).values(**SENT).cte("call")
    step = {"from_state": states.RUNNING, "to_state": states.SENDING, "why": SENT_WHY}
    line = inserting(audit, {**LINE, **step, "job_id": job.c.job_id}, job).cte("line")
    return select(job.c.job_id).add_cte(call, line)


def _answer(_insert: Any) -> Select[Any]:
    job = changing(parameter("job"), *IS_NEWS, *IS_USUAL_ANSWER, **SETTLED).cte("job")
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
        .values(**ANSWERED)
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
    given = {
        **parameters_of(request),
        "task": request.task_id,
        "for_job": request.job_id,
        "job": request.job_id,
        "notify": notify,
        "envelope": request.carried.envelope,
        "canvas": request.carried.canvas,
        "token": token,
        "seconds": seconds,
        "by": by,
        "worker": worker,
        **_today(cap),
        "of_account": request.account,
    }
    if _is_sqlite(connection):
        return call_short_steps.begin(connection, given)
    return _BEGIN.row(connection, **given)


def send(connection: Connection, lease: Lease, cap: Cap, *, worker: str) -> bool | None:
    """Note that a call may leave from now on; return None if nothing was written."""
    given = {"job": lease.job_id, "token": lease.token, "by": worker, **_today(cap)}
    if _is_sqlite(connection):
        return call_short_steps.send(connection, given)
    return None if _SEND.row(connection, **given) is None else True


def answered(
    connection: Connection, lease: Lease, outcome: Outcome, *, own_task: str | None, worker: str
) -> Job | None:
    """Store that a call was placed; return the job, or None if nothing was written."""
    if outcome.outcome != PLACED or outcome.state != states.DONE:
        return None
    first, second = causes_of_signed_in(lease.job_id)
    given = {
        "token": lease.token,
        "before": states.SENDING,
        "after": outcome.state,
        "reason": outcome.reason,
        "error": outcome.error,
        "result": outcome.result,
        **outcome_parameters(lease.job_id, outcome),
        "own": own_task,
        "cause_1": first,
        "cause_2": second,
        "by": worker,
    }
    if _is_sqlite(connection):
        job = call_short_steps.answered(connection, outcome, given)
    else:
        job = _answered(connection, outcome, given)
    if job is not None:
        once_committed(connection, partial(tell_listeners, job))
    return job


def _answered(connection: Connection, outcome: Outcome, given: dict[str, Any]) -> Job | None:
    answer64 = base64.b64encode(outcome.answer or b"").decode()
    with pipelined(connection):
        # A task that joins the job meanwhile holds this lock, and is seen once it has let go.
        lock(connection, given["job"])
        stored = _ANSWER.row_later(connection, answer64=answer64, **given)
    return stored()


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _today(cap: Cap) -> dict[str, Any]:
    """Return the account's day by this host's clock, and its bounds: the statement compares them
    with the clock of the database.
    """
    day: date = cap.day(time.time())
    begins, ends = cap.bounds(day)
    return {"of_day": day, "day_begins": begins, "day_ends": ends, "limit": cap.limit}
