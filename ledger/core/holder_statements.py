"""Steps of a job's holder as combined statements: one round trip to PostgreSQL each.

Each writes what the step's separate statements write, by the same rules, or writes nothing and
returns None (a job that is not due or was to be cancelled, a lost lease): then the separate
statements decide.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, select, update

from . import states
from .combined import inserting, selecting
from .fencing import IS_DUE, IS_HOLDER, NOTED, POSTPONED, TAKEN, TAKEN_UP
from .job import Job
from .leases import Lease
from .prepared import Prepared, parameter
from .schema import audit, jobs, queues
from .transitions import LINE, NEWEST_REASON, changing


def _claim(_insert: Any) -> Select[Any]:
    j, number = jobs.c, parameter("number", queues.c.taken_no.type)
    before = (
        select(j.job_id, j.state, j.queue, j.hinted_at, j.hint_no)
        .where(j.job_id == parameter("job"), j.state.in_(states.OPEN))
        .cte("before")
    )
    as_read = j.state == before.c.state
    job = changing(before.c.job_id, as_read, *IS_DUE, **TAKEN).cte("job")
    step = {"from_state": before.c.state, "to_state": states.RUNNING, "why": TAKEN_UP}
    both = job.join(before, before.c.job_id == job.c.job_id)
    line = inserting(audit, {**LINE, **step, "job_id": job.c.job_id}, both).cte("line")
    consumed = (
        update(queues)
        .where(
            queues.c.queue == before.c.queue,
            before.c.job_id == job.c.job_id,
            before.c.hinted_at.is_not(None),
            before.c.hint_no >= number,
            queues.c.taken_no < number,
        )
        .values(taken_no=number)
        .cte("consumed")
    )
    return select(*job.c).add_cte(line, consumed)


def _note(_insert: Any) -> Select[Any]:
    why = parameter("why", audit.c.why.type)
    job = changing(parameter("job"), *IS_HOLDER, **NOTED).cte("job")
    step = {"from_state": states.RUNNING, "to_state": states.RUNNING}
    values = {**LINE, **step, "job_id": job.c.job_id}
    is_new = NEWEST_REASON.scalar_subquery().is_distinct_from(why)
    row = selecting(audit, values, job).where(why.is_not(None), is_new)
    line = audit.insert().from_select(list(values), row).cte("line")
    return select(job.c.job_id).add_cte(line)


def _postpone(_insert: Any) -> Select[Any]:
    goes_on = jobs.c.cancel_requested.is_(False)
    job = changing(parameter("job"), *IS_HOLDER, goes_on, **POSTPONED).cte("job")
    step = {"from_state": states.RUNNING, "to_state": states.WAITING, "why": job.c.reason}
    line = inserting(audit, {**LINE, **step, "job_id": job.c.job_id}, job).cte("line")
    return select(job.c.job_id).add_cte(line)


_CLAIM = Prepared(_claim, Job)
_NOTE: Prepared[Any] = Prepared(_note)
_POSTPONE: Prepared[Any] = Prepared(_postpone)


def claim(
    connection: Connection,
    job_id: str,
    hint_no: int | None,
    *,
    token: str,
    seconds: float,
    by: str,
) -> Job | None:
    """Give a due job to the holder of ``token`` for ``seconds``, and mark its hint as consumed;
    return the job, or None if nothing was written.
    """
    return _CLAIM.row(connection, job=job_id, number=hint_no, token=token, seconds=seconds, by=by)


def note(
    connection: Connection, lease: Lease, work: dict[str, Any], why: str | None, *, by: str
) -> bool | None:
    """Store how far the work has come; return None if nothing was written."""
    row = _NOTE.row(
        connection,
        job=lease.job_id,
        job_id=lease.job_id,
        token=lease.token,
        work=work,
        why=why,
        by=by,
    )
    return None if row is None else True


def postpone(
    connection: Connection, lease: Lease, values: dict[str, Any], *, by: str
) -> bool | None:
    """Let the job wait; return None if nothing was written."""
    row = _POSTPONE.row(connection, job=lease.job_id, token=lease.token, by=by, **values)
    return None if row is None else True
