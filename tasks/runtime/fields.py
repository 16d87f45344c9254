"""Types of single arguments: texts, ids, days and instants that the ledger can hold."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
)

from tasks.errors import InvalidArgument

from .argument_faults import BY_NAME, ID, validator_message

_NUMBER = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]*)?\s*")

Moment = TypeVar("Moment", date, datetime)


def _unreserved(request_id: str) -> str:
    if request_id.startswith("day:"):
        raise ValueError("ids that begin with day: are reserved for the days' own jobs")
    return request_id


#: The caller's idempotency key, without personal data.
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$"), AfterValidator(_unreserved)]


def _writable(value: str) -> str:
    """Return the value, or raise ValueError if no database or address can hold it."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("contains a NUL or an incomplete character")
    return value


def _text(value: Any) -> Any:
    # The vendor's samples have numbers for text fields (docs/providers/vonage.md, C3 and C4).
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_number(value: Any) -> bool:
    """Return whether pydantic would read the value as seconds or milliseconds since 1970.

    This includes numbers written as text.
    """
    return isinstance(value, int | float) or (
        isinstance(value, str) and _NUMBER.fullmatch(value) is not None
    )


def _instant(value: Any) -> Any:
    if _is_number(value):
        raise ValueError("must be a time with an offset, such as 2026-11-20T00:00:00Z")
    return value


def _day(value: Any) -> Any:
    if _is_number(value):
        raise ValueError("must be a day such as 2026-11-20")
    return value


def _in_range(value: Moment) -> Moment:
    # In every time zone the value stays within what Python can represent, and a provider's clock
    # began in 1970.
    if not 1970 <= value.year < 9999:
        raise ValueError("must be between 1970 and 9998")
    return value


Text = Annotated[
    str,
    BeforeValidator(_text),
    Field(min_length=1, max_length=200),
    AfterValidator(_writable),
]
#: Free text of people and applications; each field sets its own length.
Words = Annotated[str, AfterValidator(_writable)]
#: The name of an account or of a person, or the id of a job or a task.
Id = Annotated[Words, Field(min_length=1, max_length=200)]
Day = Annotated[date, BeforeValidator(_day), AfterValidator(_in_range)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_in_range)]
Milliseconds = Annotated[int, Field(ge=0, strict=True)]

_ID: TypeAdapter[str] = TypeAdapter(Id)
_REQUEST_ID: TypeAdapter[str] = TypeAdapter(RequestId)


def check_task_id(task_id: str, *, is_key: bool) -> None:
    """Check that the ledger can hold a task's id and, with ``is_key``, use it as request id.

    An id that is no valid request id may be the ledger's own name for another job. Raises
    InvalidArgument.
    """
    try:
        (_REQUEST_ID if is_key else _ID).validate_python(task_id)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        name, advice = ("request_id", "; give a request_id") if is_key else ("task_id", "")
        sentence = validator_message(fault) or (BY_NAME[name] if is_key else ID)
        raise InvalidArgument(
            f"not done: {name}: the task's own id cannot be used: {sentence}{advice}; no job was "
            "opened"
        ) from None


def utc_text(instant: datetime) -> str:
    """Return an instant as ``yyyy-MM-ddTHH:mm:ssZ`` (docs/providers/vonage.md, C6)."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
