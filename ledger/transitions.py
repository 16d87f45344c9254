"""What every change of a job's state brings with it, inside the transaction that changes it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from . import states
from .database import now
from .job import COLUMNS, Job
from .schema import audit, days, jobs, obligations, waiters

#: The task whose own end is being written stores its result itself; its waiter is only answered by
#: a message of its own when that did not happen within this time.
OWN_ANSWER_SECONDS = 10


def find(connection: Connection, job_id: str) -> Job | None:
    """The job with this id, or None."""
    row = connection.execute(select(*COLUMNS).where(jobs.c.job_id == job_id)).one_or_none()
    return None if row is None else Job.of(row)


def audited(
    connection: Connection, job_id: str, before: str | None, after: str, by: str, why: str
) -> None:
    """Append who changed a job's state, from what to what, and why."""
    connection.execute(
        insert(audit).values(
            job_id=job_id, at=now(), from_state=before, to_state=after, by=by, why=why
        )
    )


def owe(
    connection: Connection, job_id: str, account: str, kind: str, payload: dict[str, Any]
) -> None:
    """Add an obligation, due at once: ``chain``, ``notify`` or ``alert``."""
    connection.execute(
        insert(obligations).values(
            job_id=job_id,
            account=account,
            kind=kind,
            payload=payload,
            created_at=now(),
            due_at=now(),
            attempts=0,
        )
    )


def ended(connection: Connection, job: Job, before: str, *, by: str, own_task: str | None) -> None:
    """Everything that the end of a job owes: audit, answers, notifications, its parent, its day.

    ``job`` is the row after the change; ``own_task`` is the task id that will store the outcome.
    """
    audited(connection, job.job_id, before, job.state, by, job.reason or "")
    connection.execute(
        update(waiters)
        .where(waiters.c.job_id == job.job_id, waiters.c.answered_at.is_(None))
        .values(due_at=now())
    )
    if own_task is not None:
        connection.execute(
            update(waiters)
            .where(waiters.c.task_id == own_task, waiters.c.answered_at.is_(None))
            .values(due_at=now() + OWN_ANSWER_SECONDS)
        )
    _owe_notifications(connection, job)
    if job.parent_id is not None:
        _part_ended(connection, job.parent_id)
    if job.kind == "export.run" and "day" in job.parameters:
        _day_ended(connection, job)


def _owe_notifications(connection: Connection, job: Job) -> None:
    asked = connection.execute(
        select(waiters.c.notify).where(
            waiters.c.job_id == job.job_id, waiters.c.notify.is_not(None)
        )
    )
    for (notify,) in asked.all():
        if notify is not None:
            owe(connection, job.job_id, job.account, "notify", notification(job, notify))


def notification(job: Job, notify: dict[str, str]) -> dict[str, Any]:
    """The message that a caller's ``notify`` asked for."""
    return {
        "task": notify["task"],
        "queue": notify["queue"],
        "kwargs": {
            "job_id": job.job_id,
            "request_id": job.request_id,
            "kind": job.kind,
            "state": job.state,
            "result": job.result,
            "error": job.error,
        },
    }


def _part_ended(connection: Connection, parent_id: str) -> None:
    # A counter in the row, not a count of rows: two last parts may not see each other's end.
    left = connection.execute(
        update(jobs)
        .where(jobs.c.job_id == parent_id, jobs.c.open_parts > 0)
        .values(open_parts=jobs.c.open_parts - 1)
        .returning(jobs.c.open_parts)
    ).scalar_one_or_none()
    if left is None:
        return
    values: dict[str, Any] = {"reason": f"waits for {left} more part{'s' * (left != 1)}"}
    if left == 0:
        values = {"reason": "every part has ended", "next_attempt_at": now(), "hinted_at": None}
    connection.execute(
        update(jobs)
        .where(jobs.c.job_id == parent_id, jobs.c.state == states.WAITING)
        .values(updated_at=now(), **values)
    )


def _day_ended(connection: Connection, job: Job) -> None:
    outcome = job.result or {}
    row = days.c
    values: dict[str, Any] = {"state": states.DAY_COMPLETE, "listed_age": row.planned_age}
    if job.state != states.DONE:
        values = {"state": states.DAY_INCOMPLETE}
    if outcome.get("manifest"):
        values["manifest"] = outcome["manifest"]
        values["counts"] = {key: outcome[key] for key in ("listed", "archived", "missing")}
    mine = (row.account == job.account, row.job_id == job.job_id)
    if job.state != states.DONE and not outcome.get("manifest"):
        # A day that was complete stays so when only a later look at it failed; the next night
        # looks again, since listed_age did not move.
        connection.execute(
            update(days).where(*mine, row.listed_age > 0).values(state=states.DAY_COMPLETE)
        )
        mine = (*mine, row.listed_age == 0)
    connection.execute(update(days).where(*mine).values(**values))
