"""Hints: a message that says a job may be due runs an attempt or returns the job's outcome."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from celery import Task
from celery.exceptions import Ignore

from config.logging import of_task
from config.queues import DOWNLOADS, DUE
from config.settings import settings
from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.waiters import Waiting
from ledger.errors import LeaseLost, LedgerAway, LedgerError
from tasks import errors

from . import canvas, job_events, metrics
from .context import ledger, transfer_slots
from .messages import JOB_OF_ANSWER, REFUSED, publish_answer
from .redaction import shown_arguments
from .redis_errors import BROKER_AWAY
from .resumption import leave_to_holder
from .runner import Attempt, Run, carry_out
from .unknown_accounts import leave_to_others

_log = logging.getLogger(__name__)


def handle_hint(task: Task, run: Run, job_id: str, number: int | None) -> Any:
    """Run the job of a hint, or return its outcome.

    If the ledger does not answer, store nothing: the job is announced again.
    """
    try:
        return _resolve_hint(task, run, job_id, number)
    except LedgerError as error:
        _log.warning("could not handle the hint for job %s, will retry: %s", job_id, error)
        raise Ignore from None
    except (Ignore, errors.JobError):
        raise
    except Exception:  # noqa: BLE001 - logged; a sweeper announces the job again
        # Celery would store this exception, which is not the job's outcome: the row holds the
        # outcome, now or later.
        _log.exception("the hint for job %s failed; a sweeper will announce the job again", job_id)
        raise Ignore from None


def refuse_false_hint(task: Task) -> None:
    """Refuse a message that claims to be a hint but is not one.

    No job is changed, and nothing is stored for a task of the same id that waits for a job.

    Raises InvalidArgument, or Ignore if such a task waits.
    """
    why = task.request.get(REFUSED)
    if why is None:
        return
    _log.warning("refused a message that claims to be a hint: %s", why)
    try:
        waits = ledger().waiters.job_of(task.request.id) is not None
    except LedgerAway:
        waits = True
    if waits:
        raise Ignore
    raise errors.InvalidArgument(
        f"not done: headers: {why}; no job was opened or changed; send the task without that header"
    )


def _resolve_hint(task: Task, run: Run, job_id: str, number: int | None) -> Any:
    """Run the job of a hint, return its outcome, or leave it to the worker that holds it.

    A task whose message carried something is answered only by a message that carries it too: this
    one does if it has no number (`Waiters.due`).
    """
    job, waiting = ledger().waiters.hinted(job_id, task.request.id)
    of_task(job_id=job.job_id, account=job.account)
    job_events.note(task, job)
    _refuse_mismatch(task, job, waiting)
    task.request.update({JOB_OF_ANSWER: job.job_id})
    carries = waiting.carries and waiting.job_id == job.job_id
    if not job.ended:
        if leave_to_others(job, number) or leave_to_holder(job, number):
            show_waiting(task, ledger().jobs.job(job_id))
            raise Ignore
        job = _run_attempt(task, run, job, number, answers=not carries)
    if not job.ended:
        show_waiting(task, job)
        raise Ignore
    if carries and number:
        _answer_apart(task, job)
        raise Ignore
    if carries:
        canvas.restore(task, ledger().waiters.canvas(task.request.id))
    return replay(task, job)


def _answer_apart(task: Task, job: Job) -> None:
    """Have a message of its own answer the task now, not only in the sweeper's next round."""
    answer = ledger().waiters.answer(job, task.request.id, queue=DUE)
    if answer is not None:
        publish_answer(answer)


def _refuse_mismatch(task: Task, job: Job, waiting: Waiting) -> None:
    """Raise Ignore if the hint names another task than the job's, or the wrong task id.

    A task id is wrong if it did not ask for the job. The job is not changed, and nothing is stored
    under the task id.
    """
    if task.name != f"earwitness.{job.kind}":
        _log.warning(
            "refused a hint for job %s: it names task %s, but the job is of kind %s",
            *(job.job_id, task.name, job.kind),
        )
        raise Ignore
    task_id = task.request.id
    if task_id != job.task_id and waiting.job_id != job.job_id:
        _log.warning(
            "refused a hint for job %s: task %s did not request this job", job.job_id, task_id
        )
        raise Ignore


def run_inline(task: Task, run: Run, job: Job, lease: Lease) -> Any:
    """Run a short action in the slot that opened it; return its outcome or show that it waits.

    If the ledger becomes unavailable, store nothing: the job is announced again.
    """
    try:
        job = _carried_out(Attempt(job, lease, task.request.id), run)
    except LedgerError as error:
        _log.warning("%s", error)
        raise Ignore from None
    if job.ended:
        return replay(task, job)
    show_waiting(task, job)
    raise Ignore


def _run_attempt(task: Task, run: Run, job: Job, number: int | None, *, answers: bool) -> Job:
    """Run an attempt; ``answers`` says that this message answers its task if the job ends now."""
    slots = transfer_slots() if job.queue == DOWNLOADS else None
    if slots is not None and not slots.acquire(blocking=False):
        ledger().wakeups.put_back(job.job_id, seconds=settings().sweep_seconds)
        show_waiting(task, replace(job, reason="waits for a free transfer slot"))
        raise Ignore
    try:
        claimed = ledger().execution.claim(job.job_id, number or None)
        if claimed is None:
            return ledger().jobs.job(job.job_id)
        held, lease = claimed
        own_task = task.request.id if answers else None
        return _carried_out(Attempt(held, lease, own_task), run)
    except LeaseLost as error:
        # Another worker holds the job: nothing of this attempt may be stored, not even by Celery.
        _log.warning("%s", error)
        raise Ignore from None
    finally:
        if slots is not None:
            slots.release()


def _carried_out(attempt: Attempt, run: Run) -> Job:
    """Carry out an attempt and give up its lease. Raises LedgerError."""
    try:
        return carry_out(attempt, run)
    except (LeaseLost, LedgerAway):
        ledger().lease_expiry.abandon(attempt.lease, attempt.job.updated_at)
        raise
    finally:
        ledger().leases.drop(attempt.lease)


def replay(task: Task, job: Job) -> Any:
    """Return or raise the outcome of an ended job, for Celery to store."""
    job_events.note(task, job)
    if settings().result_extended and not task.request.kwargs:
        # A hint has no arguments.
        task.request.kwargsrepr = shown_arguments({"account": job.account, **job.parameters})
    metrics.results_stored.labels(job.kind, job.state).inc()
    if job.state == states.DONE:
        return {"job_id": job.job_id, **(job.result or {})}
    raise errors.replayed(job.error) from None


def show_waiting(task: Task, job: Job) -> None:
    """Show the task as RETRY with its reason, to callers and in Flower.

    If Redis is unavailable, the next attempt shows the state; the ledger holds it.
    """
    reason = job.reason or "accepted"
    meta = {"exc_type": "Waiting", "exc_message": [reason], "exc_module": "tasks.runtime.runner"}
    try:
        task.update_state(state="RETRY", meta=meta)
        # A hint has no arguments, so this event tells Flower the job's account.
        about = {"account": job.account} | ({} if job.day is None else {"day": job.day})
        arguments = shown_arguments(about)
        job_events.note(task, job)
        job_events.send(task, "task-retried", exception=reason, traceback="", kwargs=arguments)
        ledger().waiters.note_retry_shown(task.request.id)
    except (*BROKER_AWAY, LedgerAway) as error:
        _log.info("could not show the state of job %s: %s", job.job_id, error)
