"""Hints: a message that a job may be due becomes an attempt at it, or the answer for it."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from celery.exceptions import Ignore

from config.logging import of_task
from config.queues import DOWNLOADS
from config.settings import settings
from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.errors import LeaseLost, LedgerAway, LedgerError
from tasks import errors

from . import metrics
from .context import ledger, transfer_slots
from .messages import REFUSED
from .redaction import shown_arguments
from .redis_errors import BROKER_AWAY
from .runner import Attempt, Run, carry_out

_log = logging.getLogger(__name__)


def handle_hint(task: Task, run: Run, job_id: str, number: int | None) -> Any:
    """Heed a hint. When the ledger does not answer, nothing is stored: it is announced again."""
    try:
        return _resolve_hint(task, run, job_id, number)
    except LedgerError as error:
        _log.warning("the hint for job %s came to nothing: %s", job_id, error)
        raise Ignore from None
    except (Ignore, errors.JobError):
        raise
    except Exception:  # noqa: BLE001 - logged; a sweeper announces the job again
        # What Celery would store is not the job's outcome: the row has that, or will have it.
        _log.exception("the hint for job %s failed", job_id)
        raise Ignore from None


def refuse_false_hint(task: Task) -> None:
    """Refuse a message that says it is a hint and is none. No job is touched, and nothing is stored
    where a task of that id waits for one: the message says nothing of that.

    Raises InvalidArgument, else Ignore.
    """
    why = task.request.get(REFUSED)
    if why is None:
        return
    _log.warning("a message that says it is a hint is refused: %s", why)
    try:
        waits = ledger().waiters.job_of(task.request.id) is not None
    except LedgerAway:
        waits = True
    if waits:
        raise Ignore
    raise errors.InvalidArgument(
        f"not done: headers: {why}; nothing was opened or changed; send the task without it"
    )


def _resolve_hint(task: Task, run: Run, job_id: str, number: int | None) -> Any:
    """Take up the job of a hint, or answer for it, or leave it to whom it belongs."""
    job = ledger().jobs.job(job_id)
    of_task(job_id=job.job_id, account=job.account)
    _refuse_mismatch(task, job)
    if job.ended:
        return replay(job)
    job = _run_attempt(task, run, job, number)
    if job.ended:
        return replay(job)
    show_waiting(task, job)
    raise Ignore


def _refuse_mismatch(task: Task, job: Job) -> None:
    """Raise Ignore where a hint names another task than the job's own, or a task id that did not
    ask for the job. The job is not touched, and nothing is stored under the id.
    """
    if task.name != f"earwitness.{job.kind}":
        _log.warning(
            "a hint for job %s is refused: it names %s, and the job is %s",
            *(job.job_id, task.name, job.kind),
        )
        raise Ignore
    task_id = task.request.id
    if task_id != job.task_id and ledger().waiters.job_of(task_id) != job.job_id:
        _log.warning("a hint for job %s is refused: task %s did not ask", job.job_id, task_id)
        raise Ignore


def run_inline(task: Task, run: Run, job: Job, lease: Lease) -> Any:
    """Carry out a short action in the slot that opened it, and answer for it, or show that it
    waits. When the ledger goes away on the way, nothing is stored: it is announced again.
    """
    try:
        try:
            job = carry_out(Attempt(job, lease, task.request.id), run)
        finally:
            ledger().leases.drop(lease)
    except LedgerError as error:
        _log.warning("%s", error)
        raise Ignore from None
    if job.ended:
        return replay(job)
    show_waiting(task, job)
    raise Ignore


def _run_attempt(task: Task, run: Run, job: Job, number: int | None) -> Job:
    slots = transfer_slots() if job.queue == DOWNLOADS else None
    if slots is not None and not slots.acquire(blocking=False):
        ledger().wakeups.put_back(job.job_id, seconds=settings().sweep_seconds)
        raise Ignore
    try:
        claimed = ledger().execution.claim(job.job_id, number or None)
        if claimed is None:
            return ledger().jobs.job(job.job_id)
        held, lease = claimed
        try:
            return carry_out(Attempt(held, lease, task.request.id), run)
        finally:
            ledger().leases.drop(lease)
    except LeaseLost as error:
        # Another worker holds the job: nothing of this attempt may be stored, by Celery neither.
        _log.warning("%s", error)
        raise Ignore from None
    finally:
        if slots is not None:
            slots.release()


def replay(job: Job) -> Any:
    """The outcome of a job that has ended, for Celery to store: its result or its exception."""
    metrics.results_told.labels(job.kind, job.state).inc()
    if job.state == states.DONE:
        return {"job_id": job.job_id, **(job.result or {})}
    raise errors.replayed(job.error) from None


def show_waiting(task: Task, job: Job) -> None:
    """Show the task as RETRY with the reason, to callers and in Flower. Where Redis is away the
    next attempt shows it again; the ledger has the state.
    """
    reason = job.reason or "accepted"
    meta = {"exc_type": "Waiting", "exc_message": [reason], "exc_module": "tasks.runtime.runner"}
    try:
        task.update_state(state="RETRY", meta=meta)
        # A hint has no arguments; whose job it is, Flower is told here.
        shown = shown_arguments({"account": job.account, **_day(job)})
        task.send_event("task-retried", exception=reason, traceback="", kwargs=shown)
        ledger().waiters.shown_as_waiting(task.request.id)
    except (*BROKER_AWAY, LedgerAway) as error:
        _log.info("the state of job %s could not be shown (%s)", job.job_id, error)


def _day(job: Job) -> dict[str, Any]:
    return {"day": job.parameters["day"]} if "day" in job.parameters else {}
