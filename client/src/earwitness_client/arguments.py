"""Checks of arguments before a request is sent; the worker checks again and decides.

Each function returns the value to send, None for None, and raises InvalidArgument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from .errors import InvalidArgument
from .own_names import TASK_PREFIX, is_own_queue

_ALIAS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_ORDER = re.compile(r"[a-z_]+:(ASC|DESC)")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_DIRECTIONS = ("INBOUND", "OUTBOUND", "INTRA_PBX")

Instant = datetime | str

#: The vendor's filters under the vendor's names; ``duration`` is in milliseconds, instants have an
#: offset.
Filters = TypedDict(
    "Filters",
    {
        "call_direction": Literal["INBOUND", "OUTBOUND", "INTRA_PBX"],
        "call_id": str | int,
        "caller_id": str | int,
        "cnam": str | int,
        "dnis": str | int,
        "extension": str | int,
        "duration:gte": int,
        "duration:lte": int,
        "start:gte": Instant,
        "start:lte": Instant,
    },
    total=False,
)


@dataclass(frozen=True)
class Notify:
    """Where to notify the end of a job, at least once: a task, or a webhook.

    ``task`` and ``queue`` belong to the caller's application. ``webhook`` is the name of a webhook
    that the worker's settings define. The task gets the keyword arguments job_id, request_id, kind,
    state, result and error; the webhook gets them as JSON.
    """

    task: str | None = None
    queue: str | None = None
    webhook: str | None = None


def invalid(name: str, what: str) -> InvalidArgument:
    """Return an error that names an argument."""
    return InvalidArgument(f"not done: {name}: {what}; nothing was sent")


def alias(value: object) -> str:
    """Check an account's alias in the worker's configuration."""
    if not isinstance(value, str) or not _ALIAS.fullmatch(value) or len(value) > 40:
        raise invalid(
            "account", "must be an account's alias: lower-case letters, digits and single _"
        )
    return value


def request_id(value: object) -> str:
    """Check the caller's id of a request."""
    if not isinstance(value, str) or not _REQUEST_ID.fullmatch(value):
        raise invalid("request_id", "must be 1 to 128 characters of A-Z, a-z, 0-9 and . _ : -")
    if value.startswith("day:"):
        raise invalid("request_id", "ids that begin with day: are reserved for the days' own jobs")
    return value


def text(name: str, value: object, max_length: int = 200) -> str:
    """Check a text that is not empty; a whole number is accepted and converted."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 1 <= len(value) <= max_length:
        raise invalid(name, f"must be text of 1 to {max_length} characters")
    return value


def optional_text(name: str, value: object, max_length: int = 200) -> str | None:
    """Check a text that may be None."""
    return None if value is None else text(name, value, max_length)


def whole(name: str, value: object, minimum: int, maximum: int | None = None) -> int | None:
    """Check a whole number and its bounds."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(name, "must be a whole number")
    if value < minimum or (maximum is not None and value > maximum):
        bounds = f"at least {minimum}" if maximum is None else f"{minimum} to {maximum}"
        raise invalid(name, f"must be {bounds}")
    return value


def country(value: object) -> str:
    """Check a two-letter country code."""
    if not isinstance(value, str) or not _COUNTRY.fullmatch(value):
        raise invalid("country", "must be a two-letter country code, such as IN")
    return value


def phone(value: object) -> str:
    """Check that a telephone number has digits; the worker checks its notation."""
    if not isinstance(value, str) or not any(one.isdigit() for one in value) or len(value) > 50:
        raise invalid("phone", "must be a telephone number as text, such as +<country><number>")
    return value


def order(value: object) -> str:
    """Check a field and a direction."""
    if not isinstance(value, str) or not _ORDER.fullmatch(value):
        raise invalid("order", 'must be a field and a direction, such as "start:DESC"')
    return value


def instant(name: str, value: object) -> str | None:
    """Return a point in time as ISO 8601 with an offset."""
    if value is None:
        return None
    return _moment(name, value).isoformat().replace("+00:00", "Z")


def day(value: object) -> str:
    """Return a day as yyyy-mm-dd."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise invalid("day", "must be a day such as 2026-11-20") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise invalid("day", "must be a day such as 2026-11-20, without a time")
    return value.isoformat()


def notify(value: object, worker_queue: str) -> dict[str, str]:
    """Return a Notify as the task's argument; ``worker_queue`` is the worker's own."""
    if not isinstance(value, Notify):
        raise invalid("notify", "must be a Notify(task=..., queue=...) or a Notify(webhook=...)")
    if value.webhook is not None:
        if value.task is not None or value.queue is not None:
            raise invalid("notify", "give either a webhook, or a task and its queue")
        return {"webhook": text("notify.webhook", value.webhook)}
    task, queue = text("notify.task", value.task), text("notify.queue", value.queue)
    if task.startswith(TASK_PREFIX):
        raise invalid("notify.task", "must be a task of your own; earwitness.* are the worker's")
    if queue == worker_queue or is_own_queue(queue):
        raise invalid(
            "notify.queue", "must be a queue of your own; Earwitness or Celery uses this name"
        )
    return {"task": task, "queue": queue}


def filters(value: object, *, bounded: bool = False) -> dict[str, Any] | None:
    """Check the vendor's filters; ``bounded`` requires both bounds of start."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise invalid("filters", 'must be a mapping such as {"start:gte": "2026-11-20T00:00:00Z"}')
    checked = {name: _filter(name, one) for name, one in value.items() if one is not None}
    if bounded and not {"start:gte", "start:lte"} <= checked.keys():
        raise invalid("filters", "needs both start:gte and start:lte")
    if {"start:gte", "start:lte"} <= checked.keys():
        first, last = (_moment("filters", checked[bound]) for bound in ("start:gte", "start:lte"))
        if first > last:
            raise invalid("filters", "start:gte is later than start:lte")
    return checked


def _filter(name: str, value: Any) -> Any:
    field = f"filters.{name}"
    if name == "call_direction":
        if value not in _DIRECTIONS:
            raise invalid(field, f"must be one of {', '.join(_DIRECTIONS)}")
        return value
    if name in {"duration:gte", "duration:lte"}:
        return whole(field, value, 0)
    if name in {"start:gte", "start:lte"}:
        return instant(field, value)
    if name not in Filters.__annotations__:
        suggestions = get_close_matches(str(name).lower(), Filters.__annotations__, n=1)
        hint = f": did you mean {suggestions[0]!r}?" if suggestions else ""
        raise invalid("filters", f"has no field {name!r}{hint}")
    return text(field, value)


def _moment(name: str, value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise invalid(name, "must be a time such as 2026-11-20T00:00:00Z") from None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise invalid(name, "must be a time with an offset, such as 2026-11-20T00:00:00Z")
    return value
