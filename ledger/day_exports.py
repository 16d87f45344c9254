"""The consequences of an export's end for its day."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, case, update

from . import unusual_days
from .core import states
from .core.job import Job
from .core.kinds import Ending
from .core.schema import days

#: The kind of the jobs that export a day, or a selection by filters.
KIND = "export.run"


def is_of_day(job: Job) -> bool:
    """Return whether a job exports a whole day, not a selection by filters."""
    return job.kind == KIND and "day" in job.parameters


def note_end(connection: Connection, ending: Ending) -> None:
    """Note in a day's row how its export ended, and compare the number of its recordings with other
    weeks.
    """
    if is_of_day(ending.job):
        _day_ended(connection, ending.job)
        unusual_days.compare(connection, ending.job)


def _day_ended(connection: Connection, job: Job) -> None:
    outcome = job.result or {}
    row = days.c
    values: dict[str, Any] = {"state": states.DAY_INCOMPLETE}
    if job.state == states.DONE:
        values = {
            "state": states.DAY_COMPLETE,
            "completed_by": job.job_id,
            "listings": row.listings + 1,
        }
    if outcome.get("manifest"):
        if job.state != states.DONE:
            # A later listing found something missing, so the listings that completed the day no
            # longer count.
            values |= {"completed_by": None, "listings": 0}
        values["manifest"] = outcome["manifest"]
        # The deletion of the day's recordings did not cover all that another manifest lists.
        another = row.manifest.is_distinct_from(outcome["manifest"])
        values["deleted_at"] = case((another, None), else_=row.deleted_at)
        values["counts"] = {key: outcome[key] for key in ("listed", "archived", "missing")}
    mine = and_(row.account == job.account, row.job_id == job.job_id)
    if job.state != states.DONE and not outcome.get("manifest"):
        # A complete day stays complete when only a later check of it failed. The next night checks
        # again, since the day's listings were not counted up.
        complete = row.completed_by.is_not(None)
        connection.execute(update(days).where(mine, complete).values(state=states.DAY_COMPLETE))
        mine = and_(mine, ~complete)
    connection.execute(update(days).where(mine).values(**values))
