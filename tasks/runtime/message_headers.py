"""The permitted headers and body of a task message.

Celery reads them long after it has taken the message: on its main thread, and after the task's work
is done. A field of an unexpected type would end the worker, or turn the answer of a placed call
into an error. So each message is checked before any work is done for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Any

from celery import current_app
from celery.app.task import Context
from celery.canvas import maybe_signature
from celery.exceptions import InvalidTaskError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)


class Malformed(InvalidTaskError):
    """A task message that cannot be understood. The text names the field, never its value."""


def _encodable(text: str) -> str:
    text.encode()  # raises UnicodeEncodeError for half of a character
    return text


_Text = Annotated[str, AfterValidator(_encodable)]
_Name = Annotated[_Text, Field(min_length=1)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=2**31)]


class _Headers(BaseModel):
    """The headers that Celery reads, of both protocols.

    Other headers may hold anything. The task itself tells its caller what ``eta`` and ``expires``
    may be (`tasks/runtime/timing.py`).
    """

    model_config = ConfigDict(strict=True)

    task: _Name
    id: _Name
    shadow: _Text | None = None
    root_id: _Text | None = None
    parent_id: _Text | None = None
    group: _Text | None = None
    group_index: _Count | None = None
    origin: _Text | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    retries: _Count | None = None
    replaced_task_nesting: _Count | None = None
    timelimit: tuple[_Seconds | None, _Seconds | None] | None = None
    ignore_result: bool | None = None
    stamped_headers: list[_Name] | None = None
    stamps: dict[str, Any] | None = None


#: Names of attributes of a Celery request, into which Celery also puts every header. A header of
#: such a name would replace a method, the callbacks or the arguments.
_RESERVED_NAMES = frozenset(dir(Context)) - _Headers.model_fields.keys() - {"eta", "expires"}


class _Options(BaseModel):
    """The options of a signature that name something.

    Celery follows the other options where it can.
    """

    model_config = ConfigDict(strict=True)

    task_id: _Name | None = None
    queue: _Name | None = None
    exchange: _Text | None = None
    routing_key: _Text | None = None
    priority: int | None = None
    countdown: float | None = None
    headers: dict[str, Any] | None = None


class _NextTask(BaseModel):  # type: ignore[no-redef] # mypy: the constructor has kwargs, too
    """A task that Celery sends when this one has ended."""

    model_config = ConfigDict(strict=True)

    task: _Name
    args: list[Any]
    kwargs: dict[str, Any]
    options: _Options
    subtask_type: _Text | None
    immutable: bool


#: What Celery writes for absent fields, which clients in other languages may leave out.
_EMPTY: dict[str, Any] = {
    "args": [],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": False,
}


def _complete_signature(given: dict[str, Any]) -> dict[str, Any]:
    """Return the signature with every field; raise what Celery would raise when it sends it."""
    whole = {**_EMPTY, **{name: value for name, value in given.items() if value is not None}}
    _NextTask.model_validate(whole)
    _check_members(whole)
    # Celery builds groups, chains and chords from the arguments.
    maybe_signature(deepcopy(whole), app=current_app)
    return whole


def _check_members(signature: dict[str, Any]) -> None:
    """Check the tasks of a group, chain or chord. Raises ValueError."""
    if signature["subtask_type"] not in ("group", "chain", "chord"):
        return
    for name in ("tasks", "header", "body"):
        members = signature["kwargs"].get(name)
        for member in members if isinstance(members, list) else [members]:
            if member is None:
                continue
            if not isinstance(member, dict):
                raise ValueError("a member is not a signature")  # noqa: TRY004 - for pydantic
            given = {key: value for key, value in member.items() if value is not None}
            whole = {**_EMPTY, **given}
            _NextTask.model_validate(whole)
            _check_members(whole)


_Signature = Annotated[dict[str, Any], AfterValidator(_complete_signature)]


class _Embedded(BaseModel):
    """The part of the body that protocol 2 sends after the arguments."""

    model_config = ConfigDict(strict=True)

    callbacks: list[_Signature] | None = None
    errbacks: list[_Signature] | None = None
    chain: list[_Signature] | None = None
    chord: _Signature | None = None


_BODY: TypeAdapter[Any] = TypeAdapter(
    tuple[list[Any], dict[str, Any], _Embedded | None], config=ConfigDict(strict=True)
)


def check_headers(headers: Mapping[str, Any]) -> None:
    """Check the headers of a task message. Raises Malformed."""
    listed = {**headers, **_as_pair(headers.get("timelimit"))}
    try:
        _Headers.model_validate(listed)
    except ValidationError as error:
        raise Malformed(f"its header {_field(error)} is not one that Celery writes") from None


def drop_reserved_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers without those that Celery never sends and that would replace its data."""
    return {name: value for name, value in headers.items() if name not in _RESERVED_NAMES}


def check_body(body: Any) -> dict[str, Any]:
    """Check a decoded body; return the part after the arguments, whole, as Celery writes it.

    Raises Malformed, and what Celery raises for tasks that cannot be sent.
    """
    try:
        # JSON has no tuples, and Celery itself brings protocol 1 into this form.
        given = tuple(body) if isinstance(body, list | tuple) else body
        if isinstance(given, tuple) and given and isinstance(given[0], tuple):
            given = (list(given[0]), *given[1:])
        _, _, embedded = _BODY.validate_python(given)
    except ValidationError as error:
        raise Malformed(f"its body is not that of a task ({_field(error)})") from None
    return {name: value for name, value in embedded or () if value is not None}


def _as_pair(limits: Any) -> dict[str, Any]:
    return {"timelimit": tuple(limits)} if isinstance(limits, list) else {}


def _field(error: ValidationError) -> str:
    """Return where the first mistake is, in our own names and numbers only."""
    place = error.errors(include_input=False, include_url=False, include_context=False)[0]["loc"]
    return ".".join(str(part) for part in place[:2]) or "as a whole"
