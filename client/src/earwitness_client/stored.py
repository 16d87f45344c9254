"""Task states in Celery's result backend, read as results and our exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import versions
from .errors import (
    BY_NAME,
    Cancelled,
    CapReached,
    InvalidArgument,
    JobError,
    JobFailed,
    NoSuchJob,
    RequestConflict,
    Uncertain,
)
from .request import Request
from .results import JobView

#: Celery's record of a task; empty if nothing is stored.
Stored = dict[str, Any]

_ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
#: After these errors, no job was opened.
_NO_JOB_OPENED = (InvalidArgument, RequestConflict, CapReached)
#: The states with which a job has ended in the ledger; a decision may still change the third.
_VIEW_ENDED = frozenset({"done", "failed", "needs_decision", "cancelled", "refused"})
#: Where a worker writes its version, and the job that a state is about.
_ANSWERED = "earwitness"


@dataclass(frozen=True)
class Outcome:
    """What became of a request: its task's stored end, or the ledger's view of its job.

    ``is_foreign`` says that the end is not known to be a job's.
    """

    stored: Stored
    view: JobView | None = None
    is_foreign: bool = False

    def result(self) -> Any:
        """Return the result, or raise the JobError."""
        if ended(self.stored):
            result = outcome(self.stored)
            if self.is_foreign:
                raise no_job(self.stored)
            return result
        assert self.view is not None
        return outcome_of_view(self.view)

    @property
    def refusal(self) -> JobError | None:
        """The error with which the request was refused, if no job was opened."""
        if self.view is not None:
            return error_of_view(self.view) if self.view["state"] == "refused" else None
        if not ended(self.stored) or job_of(self.stored):
            return None
        error = exception(self.stored)
        return error if isinstance(error, _NO_JOB_OPENED) else None


def ended(stored: Stored | None) -> bool:
    """Return whether the task has ended."""
    return stored is not None and stored.get("status") in _ENDED


def view_ended(view: JobView | None) -> bool:
    """Return whether the ledger has the job as ended."""
    return view is not None and view["state"] in _VIEW_ENDED


def job_of(stored: Stored) -> str | None:
    """Return the id of the job that a worker says that a state is about."""
    answered = stored.get(_ANSWERED)
    named = answered.get("job_id") if isinstance(answered, dict) else None
    return named if isinstance(named, str) and named else None


def worker_version(stored: Stored) -> str | None:
    """Return the version of the worker that stored a state; None if it names none."""
    answered = stored.get(_ANSWERED)
    version = answered.get("version") if isinstance(answered, dict) else None
    return version if isinstance(version, str) else None


def proves_job(stored: Stored, request: Request) -> bool:
    """Return whether a state is that of the request's own job, which the ledger then has.

    States without the worker's mark are those of older workers and of other applications. Only a
    result that names the job is proof among them.
    """
    named = job_of(stored)
    if named is not None:
        return named == request.job_id or not request.fixes_job_id
    result = stored.get("result")
    return (
        stored.get("status") == "SUCCESS"
        and _ANSWERED not in stored
        and request.job_id is not None
        and isinstance(result, dict)
        and result.get("job_id") == request.job_id
    )


def no_job(stored: Stored) -> NoSuchJob:
    """Return the error for the success of a task that opened no job."""
    return NoSuchJob(f"not done: the result of task {stored.get('task_id')} is not that of a job")


def is_answer(stored: Stored, request: Request) -> bool:
    """Return whether a state is the end of the request, and of no other task under its id.

    A job's success names the job. A worker's failure has its mark; that of an older worker has the
    name of one of the contract's exceptions.
    """
    opens_job = request.job_id is not None or not request.arguments_known
    if not ended(stored) or not opens_job or proves_job(stored, request):
        return ended(stored)
    if stored["status"] == "SUCCESS" or job_of(stored) is not None:
        return False
    return _ANSWERED in stored or _named(stored.get("result"))[0] in BY_NAME


def outcome(stored: Stored) -> Any:
    """Return the result of an ended task, or raise its JobError."""
    error = exception(stored)
    if error is not None:
        raise error
    return stored["result"]


def exception(stored: Stored) -> JobError | None:
    """Return the exception of an ended task as one of ours, None if it succeeded.

    Celery's own conversion imports the module in which the worker raised the exception. The caller
    does not have that module, or has another one of that name.
    """
    if stored["status"] == "SUCCESS":
        return None
    name, message = _named(stored.get("result"))
    if stored["status"] == "REVOKED":
        return Cancelled(f"not done: revoked before the job was opened ({message})")
    error, version = BY_NAME.get(name), worker_version(stored)
    if error is InvalidArgument:
        message += versions.unknown_argument(message, version)
    if error is not None:
        return error(message)
    # A worker's message for a task that it does not know.
    if message.startswith("not done: "):
        return JobFailed(message)
    clause = versions.difference(version) if version is not None else ""
    return JobFailed(f"unknown: {name}: {message}{clause}")


def outcome_of_view(view: JobView) -> dict[str, Any]:
    """Return the result of a job that has ended, by the worker's view, or raise its error."""
    if view["state"] == "done":
        return {"job_id": view["job_id"], **(view["result"] or {})}
    raise error_of_view(view)


def error_of_view(view: JobView) -> JobError:
    """Return the exception of a job that has not succeeded.

    Older workers do not name it: a failed job is then a JobFailed with its message.
    """
    error = view.get("error")
    if error is not None and error["type"] in BY_NAME:
        return BY_NAME[error["type"]](error["message"])
    message = view["reason"] or "unknown: the ledger has no reason; see the job's history"
    by_state = {"cancelled": Cancelled, "needs_decision": Uncertain}
    return by_state.get(view["state"], JobFailed)(message)


def reason(stored: Stored) -> str:
    """Return the text of a state, such as the reason why a job waits."""
    return _named(stored.get("result"))[1]


def _named(content: Any) -> tuple[str, str]:
    if not isinstance(content, dict):
        return "an error without a name", str(content)
    message = content.get("exc_message", "")
    if isinstance(message, list | tuple):
        message = " ".join(str(one) for one in message)
    return str(content.get("exc_type", "an error without a name")), str(message)
