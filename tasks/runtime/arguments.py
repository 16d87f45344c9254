"""The keyword arguments of every task, validated and made canonical; the catalogue shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from config.queues import is_own
from tasks.errors import InvalidArgument

from .argument_faults import first_fault
from .fields import Day, Id, Instant, Milliseconds, RequestId, Text, Words, utc_text


class Arguments(BaseModel):
    """What every task's arguments have in common: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Notify(Arguments):
    """Where the end of a job is told: a task of the caller's own, on a queue of its own."""

    task: Id
    queue: Id

    @field_validator("queue")
    @classmethod
    def _of_the_caller(cls, queue: str) -> str:
        if is_own(queue):
            raise ValueError("Earwitness or Celery uses this name; give a queue of your own")
        return queue


class JobArguments(Arguments):
    """Arguments of a task that opens a job."""

    account: Id
    request_id: RequestId | None = None
    notify: Notify | None = None


class Filters(Arguments):
    """The vendor's filters, under the vendor's names (docs/providers/vonage.md)."""

    call_direction: Literal["INBOUND", "OUTBOUND", "INTRA_PBX"] | None = None
    call_id: Text | None = None
    caller_id: Text | None = None
    cnam: Text | None = None
    dnis: Text | None = None
    extension: Text | None = None
    duration_from: Milliseconds | None = Field(None, alias="duration:gte")
    duration_to: Milliseconds | None = Field(None, alias="duration:lte")
    start_from: Instant | None = Field(None, alias="start:gte")
    start_to: Instant | None = Field(None, alias="start:lte")

    @model_validator(mode="after")
    def _in_order(self) -> Filters:
        if self.start_from and self.start_to and self.start_from > self.start_to:
            raise ValueError("start:gte is later than start:lte")
        return self

    def canonical(self) -> dict[str, Any]:
        """The filters that were given, under the vendor's names; instants as UTC text."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return {
            name: utc_text(value) if isinstance(value, datetime) else value
            for name, value in given.items()
        }


class RequestCall(Arguments):
    """``earwitness.certified_call.request``."""

    account: Id
    country: str = Field(pattern="^[A-Za-z]{2}$")
    phone: Text
    max_seconds: int = Field(ge=1, strict=True)
    company_name: Text | None = None
    company_id: Text | None = None
    request_id: RequestId
    not_after: Instant | None = None
    notify: Notify | None = None


class StartRecording(JobArguments):
    """``earwitness.recording.start``; which of the optional ones an account takes is its
    provider's to say.
    """

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
            raise ValueError("reason: is needed where unarchived is true")
        return self


class CreateExport(JobArguments):
    """``earwitness.export.create``."""

    filters: Filters


class RetrieveExport(JobArguments):
    """``earwitness.export.retrieve``."""

    provider_job_id: Text


class RunExport(JobArguments):
    """``earwitness.export.run``: a day, or filters with both bounds of start."""

    day: Day | None = None
    filters: Filters | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> RunExport:
        if (self.day is None) == (self.filters is None):
            raise ValueError("day: give either day or filters")
        if self.day is not None and self.request_id is not None:
            raise ValueError("request_id: is not for a day: the day is the key")
        if self.filters and not (self.filters.start_from and self.filters.start_to):
            raise ValueError("filters: needs both start:gte and start:lte")
        return self


class NameJob(Arguments):
    """``earwitness.job.status`` and ``.cancel``."""

    job_id: Id | None = None
    task_id: Id | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> NameJob:
        if (self.job_id is None) == (self.task_id is None):
            raise ValueError("job_id: give either job_id or task_id")
        return self


class RetryJob(NameJob):
    """``earwitness.job.retry``."""

    by: Id
    note: Words = Field(min_length=1, max_length=1000)


class ResolveJob(NameJob):
    """``earwitness.job.resolve``."""

    outcome: Literal["placed", "not_placed"]
    by: Id
    note: Words = Field(min_length=1, max_length=1000)


class VerifyArchive(Arguments):
    """``earwitness.archive.verify``."""

    account: Id | None = None
    request_id: RequestId | None = None
    notify: Notify | None = None


class PlanNights(Arguments):
    """``earwitness.nightly.plan``."""


Model = TypeVar("Model", bound=Arguments)


def parse(model: type[Model], arguments: dict[str, Any]) -> Model:
    """Validate a task's keyword arguments. Raises InvalidArgument, which names the first wrong one;
    nothing was changed, and the same request id may be sent again.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        raise InvalidArgument(f"not done: {first_fault(model, error)}") from None
