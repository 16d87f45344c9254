"""The keyword arguments of every task, validated and made canonical; the catalogue shows them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from .errors import InvalidArgument

Moment = TypeVar("Moment", date, datetime)


def _unreserved(request_id: str) -> str:
    if request_id.startswith("day:"):
        raise ValueError("ids that begin with day: are reserved for the days' own jobs")
    return request_id


#: The caller's idempotency key, without personal data.
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$"), AfterValidator(_unreserved)]


def _writable(value: str) -> str:
    """Refuses what no database and no address can hold. Raises ValueError."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("holds a NUL or half of a character")
    return value


def _text(value: Any) -> Any:
    # The vendor's own samples give caller_id and extension as numbers (seed 004).
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _instant(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError(  # noqa: TRY004 - pydantic turns only ValueError into its own
            "must be a text such as 2026-11-20T00:00:00Z, with an offset"
        )
    return value


def _in_range(value: Moment) -> Moment:
    # In no time zone does it leave what Python can count, and a provider's clock began in 1970.
    if not 1970 <= value.year < 9999:
        raise ValueError("must lie between 1970 and 9998")
    return value


Text = Annotated[
    str,
    BeforeValidator(_text),
    Field(min_length=1, max_length=200),
    AfterValidator(_writable),
]
#: The name of an account, or the id of a job or a task.
Id = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_writable)]
Day = Annotated[date, AfterValidator(_in_range)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_in_range)]
Milliseconds = Annotated[int, Field(ge=0, strict=True)]


class Arguments(BaseModel):
    """What every task's arguments have in common: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Notify(Arguments):
    """Where the end of a job is told: a task of the caller's own, on a queue of its own."""

    task: str = Field(min_length=1, max_length=200)
    queue: str = Field(min_length=1, max_length=200)


class JobArguments(Arguments):
    """Arguments of a task that opens a job."""

    account: Id
    request_id: RequestId | None = None
    notify: Notify | None = None


class Filters(Arguments):
    """The vendor's filters, under the vendor's names (seed 004)."""

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
    announcement: str | None = Field(None, min_length=1, max_length=1000)
    max_seconds: int | None = Field(None, ge=1, strict=True)
    silence_seconds: int | None = Field(None, ge=1, strict=True)
    finish_digits: Text | None = None
    hang_up_after_seconds: int | None = Field(None, ge=0, strict=True)
    finished_url: str | None = Field(None, min_length=1, max_length=2000)


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
    reason: str | None = Field(None, min_length=1, max_length=1000)
    unarchived: bool = False

    @model_validator(mode="after")
    def _reason_for_unarchived(self) -> DeleteRecording:
        if self.unarchived and not self.reason:
            raise ValueError("unarchived needs a reason")
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
            raise ValueError("give either day or filters")
        if self.day is not None and self.request_id is not None:
            raise ValueError("request_id is not for a day: the day is the key")
        if self.filters and not (self.filters.start_from and self.filters.start_to):
            raise ValueError("filters needs both start:gte and start:lte")
        return self


class NameJob(Arguments):
    """``earwitness.job.status`` and ``.cancel``."""

    job_id: Id | None = None
    task_id: Id | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> NameJob:
        if (self.job_id is None) == (self.task_id is None):
            raise ValueError("give either job_id or task_id")
        return self


class RetryJob(NameJob):
    """``earwitness.job.retry``."""

    by: str = Field(min_length=1, max_length=200)
    note: str = Field(min_length=1, max_length=1000)


class ResolveJob(NameJob):
    """``earwitness.job.resolve``."""

    outcome: Literal["placed", "not_placed"]
    by: str = Field(min_length=1, max_length=200)
    note: str = Field(min_length=1, max_length=1000)


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
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "arguments"
        sentence = first["msg"].removeprefix("Value error, ")
        raise InvalidArgument(f"not done: {name}: {sentence}") from None


def check_task_id(task_id: str, *, is_key: bool) -> None:
    """See that the ledger can hold a task's id and, where it ``is_key``, that it may serve as
    request id: what is no request id may be the ledger's own name for another job. Raises
    InvalidArgument.
    """
    kind: Any = RequestId if is_key else Id
    try:
        TypeAdapter(kind).validate_python(task_id)
    except ValidationError as error:
        sentence = error.errors(include_input=False, include_url=False)[0]["msg"]
        name, advice = ("request_id", "; give one") if is_key else ("task_id", "")
        raise InvalidArgument(
            f"not done: {name}: the task's own id does not serve: "
            f"{sentence.removeprefix('Value error, ')}{advice}; nothing was opened"
        ) from None


def utc_text(instant: datetime) -> str:
    """An instant as ``yyyy-MM-ddTHH:mm:ssZ``, the form that the vendor documents (seed 004)."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
