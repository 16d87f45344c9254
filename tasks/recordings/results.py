"""The results of the tasks on recordings at the provider."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from tasks.runtime.results import JobResult, Result


class ListedRecording(Result):
    """A recording with all fields of the provider, under the provider's names."""

    model_config = ConfigDict(extra="allow")

    id: str
    start: str | None
    """ISO 8601 in UTC; null if it cannot be read."""
    duration: int | None = None
    """Milliseconds."""
    call_id: str | None = None
    caller_id: str | None = None
    dnis: str | None = None
    file_size_in_bytes: int | None = None
    file_name: str | None = None
    set_aside: str | None = None
    """Why the recording can neither be fetched nor be assigned to a day."""


class RecordingPage(Result):
    """One page of the provider's list."""

    recordings: list[ListedRecording]
    page: int = Field(ge=1)
    page_size: int = Field(ge=1)
    total_items: int | None = None
    total_pages: int | None = None
    set_aside: list[ListedRecording] = Field(default_factory=list)
    """Entries without a readable id or start, each with the reason."""


class DeletedRecording(JobResult):
    """A recording that the provider no longer has."""

    recording_id: str
    deleted: bool
    """False if the recording was gone already."""
    archived_as: str | None
    """The recording's path in the archive; null if no copy was asked for (``unarchived``)."""
