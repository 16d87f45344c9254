"""The results of the tasks on calls in progress."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from tasks.runtime.results import JobResult, Result


class ListedCall(Result):
    """A call in progress. Fields that the provider does not give are null."""

    model_config = ConfigDict(extra="allow")

    call_id: str | None
    """Null if the provider's id cannot be read."""
    state: str | None
    source: str | None
    destination: str | None
    caller: str | None
    started_at: str | None
    """ISO 8601 in UTC."""
    views: list[dict[str, Any]]
    """The call's legs, if the provider has them."""


class ListedCalls(Result):
    """The calls in progress."""

    calls: list[ListedCall]


class CallRecording(JobResult):
    """A recording of a call in progress that was started or stopped."""

    call_id: str
    view_id: str | None = None
    format: str | None
    """Null after a stop, and if the provider's default applies."""
    recording_since: str | None = None
    """ISO 8601 in UTC."""
    collected: bool
    """Whether the recording will be fetched into the archive when it has ended."""
    collect_job_id: str | None = None
    """The job that fetches it; present if it is collected."""
    not_collected_because: str | None = None
    """Present if it is not collected."""
