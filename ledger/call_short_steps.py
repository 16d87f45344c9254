"""The steps of a certified call in few statements of SQLite, which one connection writes at a time.

Each writes what the step's separate statements write, by the same rules, or writes nothing and
returns None, as the statements of PostgreSQL do: first it checks that the step is usual. Nothing
changes between the check and the writes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, exists, insert, literal_column, select, update

from .call_outcomes import Outcome, note_outcome
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
from .core.combined import inserting_both
from .core.job import COLUMNS, Job
from .core.opening import WAIT, next_hint
from .core.prepared import Prepared, parameter
from .core.schema import audit, calls, jobs, ledger, waiters
from .core.transitions import LINE, append_audit, changing, updating
from .daily_quota import KEEP, TAKE, is_reserved

_IS_USUAL = Prepared(
    select(literal_column("1"))
    .select_from(ledger)
    .where(*IS_USUAL_BEGINNING, ~exists().where(waiters.c.task_id == parameter("task")))
)
_BEGIN = Prepared(insert(jobs).values(**BEGUN).returning(*COLUMNS), Job)
_LINES = Prepared(inserting_both(audit, {**LINE, **OPENED_LINE}, {**LINE, **BEGUN_LINE}).inline())
_SEND = Prepared(
    updating(
        parameter("job"),
        *MAY_LEAVE,
        IS_DAY,
        is_reserved(jobs.c.job_id, jobs.c.account),
        state=states.SENDING,
    )
)
_SENT = Prepared(update(calls).where(calls.c.job_id == parameter("job")).values(**SENT))
_SETTLE = Prepared(changing(parameter("job"), *IS_NEWS, *IS_USUAL_ANSWER, **SETTLED), Job)
_ANSWER = Prepared(
    update(waiters)
    .where(waiters.c.job_id == parameter("job"), waiters.c.answered_at.is_(None))
    .values(**ANSWERED)
)


def begin(connection: Connection, given: dict[str, Any]) -> Job | None:
    """Open and claim a call."""
    if _IS_USUAL.row(connection, **given) is None:
        return None
    number = next_hint(connection, given["queue"])
    job = _BEGIN.row(connection, number=number, **given)
    TAKE.row(connection, **given)
    KEEP.run(connection, **given)
    _LINES.run(connection, **given)
    WAIT.run(connection, answer_in=None, **given)
    return job


def send(connection: Connection, given: dict[str, Any]) -> bool | None:
    """Note that a call may leave from now on."""
    if not _SEND.run(connection, **given):
        return None
    _SENT.run(connection, **given)
    step = (states.RUNNING, states.SENDING)
    append_audit(connection, given["job"], step, by=given["by"], why=SENT_WHY)
    return True


def answered(connection: Connection, outcome: Outcome, given: dict[str, Any]) -> Job | None:
    """Store that a call was placed."""
    job = _SETTLE.row(connection, **given)
    if job is None:
        return None
    note_outcome(connection, job, outcome)
    step = (given["before"], job.state)
    append_audit(connection, job.job_id, step, by=given["by"], why=job.reason or "")
    _ANSWER.run(connection, **given)
    return job
