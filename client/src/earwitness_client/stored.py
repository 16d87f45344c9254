"""What Celery's result backend keeps for a task, as states, results and exceptions of ours."""

from __future__ import annotations

from typing import Any

from .errors import BY_NAME, Cancelled, JobError, JobFailed

#: Celery's state of a task with what belongs to it; empty where nothing is stored.
Stored = dict[str, Any]

_ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


def ended(stored: Stored | None) -> bool:
    """Whether the task has its outcome."""
    return stored is not None and stored.get("status") in _ENDED


def outcome(stored: Stored) -> Any:
    """The result of a task that ended. Raises JobError where that is an exception."""
    error = exception(stored)
    if error is not None:
        raise error
    return stored["result"]


def exception(stored: Stored) -> JobError | None:
    """The exception of a task that ended, as one of ours; None where it ended well.

    Celery's own way back from a name imports the module that the worker raised it from, which the
    caller does not have or has with another content.
    """
    if stored["status"] == "SUCCESS":
        return None
    name, message = _named(stored.get("result"))
    if stored["status"] == "REVOKED":
        return Cancelled(f"not done: revoked before the job was opened ({message})")
    known = BY_NAME.get(name)
    if known is not None:
        return known(message)
    # An older worker says so of a task that it does not know.
    is_told = message.startswith("not done: ")
    return JobFailed(message if is_told else f"unknown: {name}: {message}")


def said(stored: Stored) -> str:
    """The words that a state carries, such as what a job waits for."""
    return _named(stored.get("result"))[1]


def _named(content: Any) -> tuple[str, str]:
    if not isinstance(content, dict):
        return "an error without a name", str(content)
    words = content.get("exc_message", "")
    if isinstance(words, list | tuple):
        words = " ".join(str(one) for one in words)
    return str(content.get("exc_type", "an error without a name")), str(words)
