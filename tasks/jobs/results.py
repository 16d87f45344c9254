"""The result of the tasks on jobs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tasks.runtime.message_bodies import ErrorBody
from tasks.runtime.results import JobResult

JobState = Literal[
    "pending",
    "running",
    "sending",
    "waiting",
    "done",
    "failed",
    "needs_decision",
    "cancelled",
    "refused",
]


class JobRow(JobResult):
    """A job as the ledger has it."""

    kind: str
    """The name of the job's task without ``earwitness.``."""
    account: str
    """The account's alias; ``*`` for every account."""
    request_id: str
    state: JobState
    """``refused`` for a task whose request opened no job: then the ids are empty."""
    reason: str | None
    """Why the job waits or how it ended, in words."""
    attempts: int = Field(ge=0)
    next_attempt_at: str | None
    """ISO 8601 in UTC, and so are the other times."""
    created_at: str
    updated_at: str
    result: dict[str, Any] | None
    """The job's result, without ``job_id``; some failed jobs have one too."""
    error: ErrorBody | None
    """The exception with which the job ended."""
