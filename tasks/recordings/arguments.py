"""Arguments of the tasks about recordings at a provider."""

from __future__ import annotations

from pydantic import Field, model_validator

from tasks.days.filters import Filters
from tasks.runtime.arguments import Arguments, JobArguments
from tasks.runtime.fields import Id, Text, Words


class ListRecordings(Arguments):
    """``earwitness.recording.list``."""

    account: Id
    filters: Filters = Filters()
    page: int = Field(1, ge=1, strict=True)
    page_size: int = Field(10, ge=1, le=1000, strict=True)
    order: str = Field("start:DESC", pattern=r"^[a-z_]+:(ASC|DESC)$")


class GetRecording(Arguments):
    """``earwitness.recording.get``."""

    account: Id
    recording_id: Text


class DownloadRecording(JobArguments):
    """``earwitness.recording.download``."""

    recording_id: Text


class DeleteRecording(JobArguments):
    """``earwitness.recording.delete``."""

    recording_id: Text
    reason: Words | None = Field(None, min_length=1, max_length=1000)
    unarchived: bool = False

    @model_validator(mode="after")
    def _reason_for_unarchived(self) -> DeleteRecording:
        if self.unarchived and not self.reason:
            raise ValueError("reason: is required when unarchived is true")
        return self
