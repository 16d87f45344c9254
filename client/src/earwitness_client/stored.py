"""Task states in Celery's result backend, read as results and our exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import (
    BY_NAME,
    Cancelled,
    CapReached,
    InvalidArgument,
    JobError,
    JobFailed,
    RequestConflict,
    Uncertain,
)
from .results import JobView

#: Celery's record of a task; empty if nothing is stored.
Stored = dict[str, Any]

_ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
#: After these errors, no job was opened.
_NO_JOB_OPENED = (InvalidArgument, RequestConflict, CapReached)
#: The states with which a job has ended in the ledger; a decision may still change the third.
_VIEW_ENDED = frozenset({"done", "failed", "needs_decision", "cancelled"})


@dataclass(frozen=True)
class Outcome:
    """What became of a request: its task's stored end, or the ledger's view of its job."""

    stored: Stored
    view: JobView | None = None

    def result(self) -> Any:
        """Return the result, or raise the JobError."""
        if ended(self.stored):
            return outcome(self.stored)
        assert self.view is not None
        return outcome_of_view(self.view)

    @property
    def refusal(self) -> JobError | None:
        """The error with which the request was refused, if no job was opened."""
        error = exception(self.stored) if ended(self.stored) else None
        return error if isinstance(error, _NO_JOB_OPENED) else None


def ended(stored: Stored | None) -> bool:
    """Return whether the task has ended."""
    return stored is not None and stored.get("status") in _ENDED


def view_ended(view: JobView | None) -> bool:
    """Return whether the ledger has the job as ended."""
    return view is not None and view["state"] in _VIEW_ENDED


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
    error = BY_NAME.get(name)
    if error is not None:
        return error(message)
    # An older worker's message for a task that it does not know.
    is_certain = message.startswith("not done: ")
    return JobFailed(message if is_certain else f"unknown: {name}: {message}")


def outcome_of_view(view: JobView) -> dict[str, Any]:
    """Return the result of a job that has ended, from the ledger's view of it, or raise its error.

    The view does not name the exception of a failed job: it is a JobFailed with its message.
    """
    message = view["reason"] or "unknown: the ledger has no reason; see the job's history"
    if view["state"] == "done":
        return {"job_id": view["job_id"], **(view["result"] or {})}
    if view["state"] == "cancelled":
        raise Cancelled(message)
    if view["state"] == "needs_decision":
        raise Uncertain(message)
    raise JobFailed(message)


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
