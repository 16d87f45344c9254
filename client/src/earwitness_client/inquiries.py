"""What callers ask about a request that was sent, as steps for both kinds of clients."""

from __future__ import annotations

from typing import Any, cast

from .errors import InvalidArgument, JobError, NoSuchJob, NotAnswered
from .operations import Steps
from .recovery import AnswerRecovery, AttachedRecovery, JobRecovery, Recovery
from .redis_faults import AWAY
from .request import Request
from .results import JobView
from .stored import Stored, ended, error_of_view, exception, is_answer, no_job, proves_job
from .waiting import Watch, await_one
from .worker_queue import WorkerQueue


def watch(queue: WorkerQueue, request: Request, *, accepted: bool = False) -> Watch:
    """Return a watch of a request, with the recovery that suits it."""
    recovery: Recovery
    if not request.arguments_known:
        recovery = AttachedRecovery(queue, request, status_question(request))
    elif request.job_id is None:
        recovery = AnswerRecovery(queue, request)
    else:
        recovery = JobRecovery(queue, request, status_question(request))
    return Watch(request, recovery, accepted=accepted)


def not_ended(one: Watch, timeout: float | None, why: str) -> str:
    """Return the message of a wait that ended without an answer."""
    request, seconds = one.request, "the time" if timeout is None else f"{timeout:g} s"
    if request.job_id is None and request.arguments_known:
        return (
            f"unknown: {request.task} was not answered within {seconds}; {why}"
            f"wait longer, or {request.repetition}"
        )
    named = request.job_id or f"of task {request.task_id}"
    return (
        f"unknown: job {named} did not end within {seconds}; {one.state}; {why}"
        f"wait longer, or {request.repetition}"
    )


def wait(queue: WorkerQueue, request: Request, timeout: float | None) -> Steps[Any]:
    """Wait for a request's result. Raises its JobError, and NotAnswered."""
    one = watch(queue, request)
    yield from _await(queue, one, timeout)
    return one.outcome.result()


def accepted(queue: WorkerQueue, request: Request, timeout: float | None) -> Steps[None]:
    """Wait until a request's job is in the ledger. Raises its refusal, and NotAnswered."""
    one = watch(queue, request, accepted=True)
    yield from _await(queue, one, timeout)
    refused = one.outcome.refusal
    if refused is None and one.recovery.view is None and not proves_job(one.stored, request):
        refused = exception(one.stored) or no_job(one.stored)
    if refused is not None:
        raise refused


def _await(queue: WorkerQueue, one: Watch, timeout: float | None) -> Steps[None]:
    """Wait until a watch is over. Raises NotAnswered, or the error with which the task ended."""
    try:
        yield from await_one(queue, one, timeout, lambda why: not_ended(one, timeout, why))
    except NotAnswered as error:
        # The task itself has ended, and only the ledger could tell whether there is a job.
        if not one.is_unclear or one.stored["status"] not in {"FAILURE", "REVOKED"}:
            raise
        raise _unconfirmed(one.stored, str(error)) from None


def _unconfirmed(stored: Stored, why: str) -> JobError:
    """Return the error of a task that has ended, of whose job the worker was not heard."""
    error = exception(stored)
    assert error is not None
    said = str(error).removeprefix("not done: ").removeprefix("unknown: ")
    return type(error)(f"unknown: {said}; {why.removeprefix('unknown: ')}")


def status(queue: WorkerQueue, request: Request, timeout: float | None) -> Steps[JobView]:
    """Ask the worker for a request's job."""
    question = status_question(request)
    yield from queue.send(question)
    try:
        view = cast("JobView", (yield from wait(queue, question, timeout)))
    except NoSuchJob as error:
        error.refusal = yield from _refusal(queue, request)
        raise
    if view["state"] != "refused":
        return view
    refusal = error_of_view(view)
    refused = NoSuchJob(
        f"not done: task {request.task_id} opened no job: {type(refusal).__name__}: {refusal}"
    )
    refused.refusal = refusal
    raise refused


def state(queue: WorkerQueue, request: Request) -> Steps[str]:
    """Return Celery's state of a request's task, as its result backend has it."""
    return str((yield from _stored(queue, request)).get("status", "PENDING"))


def ready(queue: WorkerQueue, request: Request) -> Steps[bool]:
    """Return whether the result backend has a request's outcome."""
    stored = yield from _stored(queue, request)
    return is_answer(stored, request) or stored.get("status") in {"FAILURE", "REVOKED"}


def send_again(queue: WorkerQueue, request: Request) -> Steps[None]:
    """Send the same request again. Raises NotQueued or MaybeQueued."""
    if not request.arguments_known:
        raise InvalidArgument(
            "not done: the arguments of an attached job are not known here; send the original "
            "request again under the same request id: it will be done only once; nothing was sent"
        )
    yield from queue.send(request)


def status_question(request: Request) -> Request:
    """Return the question for a request's job.

    The id of a day's job depends on the day's generation, which only the ledger knows, so it is
    asked for by its task.
    """
    by_id = request.job_id if request.request_id is not None or not request.task_id else None
    named = {"task_id": request.task_id} if by_id is None else {"job_id": by_id}
    return Request("earwitness.job.status", named, question=True)


def _refusal(queue: WorkerQueue, request: Request) -> Steps[JobError | None]:
    """Return the error with which a request was refused, if the result backend has it."""
    try:
        stored = yield from _stored(queue, request)
    except (InvalidArgument, NotAnswered):
        return None
    return exception(stored) if ended(stored) and not proves_job(stored, request) else None


def _stored(queue: WorkerQueue, request: Request) -> Steps[Stored]:
    if not request.task_id:
        raise InvalidArgument(
            "not done: the result backend knows tasks, and this job was attached by its job id; "
            "use status, or attach by task_id"
        )
    try:
        (stored,) = yield from queue.stored([request.task_id])
    except AWAY as error:
        raise NotAnswered(
            f"unknown: Redis did not answer ({type(error).__name__}); {request.repetition}"
        ) from error
    return stored
