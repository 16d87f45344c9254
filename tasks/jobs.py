"""Jobs: what became of one, and what people decide about it."""

from __future__ import annotations

import logging
from typing import Any

from ledger.errors import LedgerError, NotPossible
from ledger.job import Job

from . import days, errors
from .arguments import NameJob, ResolveJob, RetryJob
from .front_door import plain_task
from .message import publish_first
from .resources import ledger

_log = logging.getLogger(__name__)


@plain_task("job.status", NameJob)
def job_status(asked: NameJob) -> dict[str, Any]:
    """The job as the ledger has it."""
    return _meant(asked).shown()


@plain_task("job.cancel", NameJob)
def cancel_job(asked: NameJob) -> dict[str, Any]:
    """Cancel a job; an export's parts go with it."""
    try:
        return ledger().decisions.cancel(_meant(asked).job_id, by="job.cancel").shown()
    except NotPossible as error:
        raise errors.InvalidArgument(str(error)) from None


@plain_task("job.retry", RetryJob)
def retry_job(asked: RetryJob) -> dict[str, Any]:
    """Have a failed or cancelled job done once more, as a job of its own: that job."""
    try:
        return retry(_meant(asked), by=asked.by, note=asked.note).shown()
    except NotPossible as error:
        raise errors.InvalidArgument(str(error)) from None


@plain_task("job.resolve", ResolveJob)
def resolve_job(asked: ResolveJob) -> dict[str, Any]:
    """Decide what became of a certified call that needs a decision: the job as it is then."""
    placed = asked.outcome == "placed"
    try:
        return resolve(_meant(asked), placed=placed, by=asked.by, note=asked.note).shown()
    except NotPossible as error:
        raise errors.InvalidArgument(str(error)) from None


def resolve(job: Job, *, placed: bool, by: str, note: str) -> Job:
    """Decide what became of a call. Raises ledger.errors.NotPossible where nothing is open."""
    return ledger().decisions.resolve(job.job_id, placed=placed, by=by, note=note)


def retry(job: Job, *, by: str, note: str) -> Job:
    """Open the job's work once more; a day's export as the day's next generation.

    Raises ledger.errors.NotPossible where the job has not failed.
    """
    if "day" in job.parameters and job.kind == "export.run":
        opened, number = days.reopen(job, by=f"{by}: {note}")
    else:
        opened, number = ledger().decisions.again(job.job_id, by=by, note=note)
    if number is not None:
        publish_first(opened, number)
    return opened


def _meant(asked: NameJob) -> Job:
    if asked.job_id is not None:
        return ledger().jobs.job(asked.job_id)
    assert asked.task_id is not None
    return ledger().jobs.job(_asked_by(asked.task_id))


def _asked_by(task_id: str) -> str:
    job_id = ledger().waiters.job_of(task_id)
    if job_id is None:
        raise errors.NoSuchJob(f"not done: no job was asked for by task {task_id}")
    return job_id


def cancel_revoked(task_id: str) -> None:
    """Celery's revoke is treated as a cancel (design 4)."""
    try:
        job_id = ledger().waiters.job_of(task_id)
        if job_id is not None:
            ledger().decisions.cancel(job_id, by="celery revoke", why="revoked")
    except LedgerError as error:
        _log.warning("task %s was revoked, but its job was not cancelled: %s", task_id, error)
