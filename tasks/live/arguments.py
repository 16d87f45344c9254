"""Arguments of the tasks about calls in progress."""

from __future__ import annotations

from pydantic import Field

from tasks.runtime.arguments import Arguments, JobArguments
from tasks.runtime.fields import Id, Instant, Text, Words


class StartRecording(JobArguments):
    """``earwitness.recording.start``; the provider decides which optional arguments it takes."""

    call_id: Text
    format: Text | None = None
    not_after: Instant | None = None
    view_id: Text | None = None
    extension: Text | None = None
    user_id: Text | None = None
    announcement: Words | None = Field(None, min_length=1, max_length=1000)
    max_seconds: int | None = Field(None, ge=1, strict=True)
    silence_seconds: int | None = Field(None, ge=1, strict=True)
    finish_digits: Text | None = None
    hang_up_after_seconds: int | None = Field(None, ge=0, strict=True)
    finished_url: Words | None = Field(None, min_length=1, max_length=2000)


class StopRecording(JobArguments):
    """``earwitness.recording.stop``."""

    call_id: Text
    view_id: Text | None = None
    extension: Text | None = None
    user_id: Text | None = None


class ListCalls(Arguments):
    """``earwitness.call.list``."""

    account: Id
    extension: Text | None = None
    user_id: Text | None = None
