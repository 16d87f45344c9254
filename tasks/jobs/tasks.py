"""Job tasks: the state of a job, and what people decide about it."""

from __future__ import annotations

import logging
from typing import Any

from config.logging import bind, of_task
from ledger.core import states
from ledger.core.job import Job
from ledger.errors import LedgerError, NotPossible
from tasks import errors
from tasks.archive_watch import watch
from tasks.days import day
from tasks.runtime import job_events
from tasks.runtime.context import ledger
from tasks.runtime.entry import plain_task
from tasks.runtime.messages import publish_first
from tasks.runtime.refusals import refusals

from .arguments import NameJob, ResolveJob, RetryJob
from .results import JobRow

_log = logging.getLogger(__name__)


@plain_task("job.status", NameJob, JobRow)
def job_status(asked: NameJob) -> dict[str, Any]:
    """Return the job as the ledger has it, or why a task's request was refused."""
    if asked.task_id is not None and ledger().waiters.job_of(asked.task_id) is None:
        refusal = refusals.of(asked.task_id)
        if refusal is not None:
            return refusal.view()
    return _view(_named_job(asked))


@plain_task("job.cancel", NameJob, JobRow)
def cancel_job(asked: NameJob) -> dict[str, Any]:
    """Cancel a job, and an export's parts with it."""
    try:
        return _view(ledger().operator_actions.cancel(_named_job(asked).job_id, by="job.cancel"))
    except NotPossible as error:
        raise errors.InvalidArgument(str(error)) from None


@plain_task("job.retry", RetryJob, JobRow)
def retry_job(asked: RetryJob) -> dict[str, Any]:
    """Retry a job that failed, was cancelled or lost its files; return the new job."""
    try:
        return _view(retry(_named_job(asked), by=asked.by, note=asked.note))
    except NotPossible as error:
        raise errors.InvalidArgument(str(error)) from None


@plain_task("job.resolve", ResolveJob, JobRow)
def resolve_job(asked: ResolveJob) -> dict[str, Any]:
    """Decide the outcome of a certified call that awaits a decision; return the job after it."""
    placed = asked.outcome == "placed"
    try:
        job = _named_job(asked)
        return _view(resolve(job, placed=placed, by=asked.by, note=asked.note))
    except NotPossible as error:
        raise errors.InvalidArgument(str(error)) from None


def resolve(job: Job, *, placed: bool, by: str, note: str) -> Job:
    """Decide the outcome of a call. Raises ledger.errors.NotPossible if no decision is open."""
    decided = ledger().operator_actions.resolve(job.job_id, placed=placed, by=by, note=note)
    job_events.announce_decision(decided)
    return decided


def retry(job: Job, *, by: str, note: str) -> Job:
    """Open the job's work again; a day's export becomes the day's next generation.

    Raises ledger.errors.NotPossible if the job has not failed and its files are not gone.
    """
    if "day" in job.parameters and job.kind == "export.run":
        opened, number = day.reopen(job, by=f"{by}: {note}")
    else:
        is_lost = job.state == states.DONE and watch.is_lost(job)
        opened, number = ledger().operator_actions.again(
            job.job_id, by=by, note=note, is_lost=is_lost
        )
    if number is not None:
        publish_first(opened, number)
    return opened


def _named_job(asked: NameJob) -> Job:
    job_id = asked.job_id
    if job_id is None:
        assert asked.task_id is not None
        job_id = _job_id_of_task(asked.task_id)
    job = ledger().jobs.job(job_id)
    of_task(job_id=job.job_id, account=job.account)
    return job


def _job_id_of_task(task_id: str) -> str:
    job_id = ledger().waiters.job_of(task_id)
    if job_id is None:
        refusal = refusals.of(task_id)
        why = f": it was refused ({refusal.type}: {refusal.message})" if refusal else ""
        raise errors.NoSuchJob(f"not done: task {task_id} requested no job{why}")
    return job_id


def _view(job: Job) -> dict[str, Any]:
    """Return what callers see of a job, with the exception with which it ended."""
    error = None
    if job.ended and job.error is not None:
        error = {name: job.error[name] for name in ("type", "message")}
    return {**job.summary(), "error": error}


def refuse_revoked(task_id: str, task: str) -> None:
    """Cancel the job of a revoked task whose message has come, or keep that it opens none."""
    if cancel_revoked(task_id):
        refusals.add(task_id, task, errors.Cancelled("not done: revoked before a job was opened"))


def cancel_revoked(task_id: str) -> bool:
    """Cancel the job of a task that Celery revoked (docs/tasks.md).

    Return whether the ledger knows that the task has no job.
    """
    job_id = None
    try:
        job_id = ledger().waiters.job_of(task_id)
        if job_id is not None:
            ledger().operator_actions.cancel(job_id, by="celery revoke", why="revoked")
    except LedgerError as error:
        with bind(task_id=task_id, job_id=job_id):
            _log.warning("the task was revoked, but its job was not cancelled: %s", error)
        return False
    return job_id is None
