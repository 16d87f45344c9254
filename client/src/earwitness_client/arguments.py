"""What is looked at before anything is sent; the worker looks at it again, and has the last word.

Each function returns the value as it is sent, or None for None, and raises InvalidArgument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from .errors import InvalidArgument

_ALIAS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_ORDER = re.compile(r"[a-z_]+:(ASC|DESC)")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_DIRECTIONS = ("INBOUND", "OUTBOUND", "INTRA_PBX")

Instant = datetime | str

#: The vendor's filters under the vendor's names; ``duration`` in milliseconds, instants with an
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
    """Where the end of a job is told: ``task`` of the caller's own application, on its ``queue``,
    with the keyword arguments job_id, request_id, kind, state, result and error; at least once.
    """

    task: str
    queue: str


def wrong(name: str, what: str) -> InvalidArgument:
    """The error that names an argument."""
    return InvalidArgument(f"not done: {name}: {what}; nothing was sent")


def alias(value: object) -> str:
    """An account's name in the worker's configuration."""
    if not isinstance(value, str) or not _ALIAS.fullmatch(value) or len(value) > 40:
        raise wrong(
            "account", "must be an account's alias: lower-case letters, digits and single _"
        )
    return value


def request_id(value: object) -> str:
    """The caller's key of a request."""
    if not isinstance(value, str) or not _REQUEST_ID.fullmatch(value):
        raise wrong("request_id", "must be 1 to 128 of A-Z, a-z, 0-9 and . _ : -")
    if value.startswith("day:"):
        raise wrong("request_id", "ids that begin with day: are reserved for the days' own jobs")
    return value


def text(name: str, value: object, most: int = 200) -> str:
    """A text that is not empty; ids may be given as whole numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise wrong(name, f"must be a text of 1 to {most} characters")
    return value


def optional_text(name: str, value: object, most: int = 200) -> str | None:
    """A text that may be left out."""
    return None if value is None else text(name, value, most)


def whole(name: str, value: object, least: int, most: int | None = None) -> int | None:
    """A whole number within bounds."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(name, "must be a whole number")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"{least} to {most}"
        raise wrong(name, f"must be {bounds}")
    return value


def country(value: object) -> str:
    """Two letters."""
    if not isinstance(value, str) or not _COUNTRY.fullmatch(value):
        raise wrong("country", "must be a country's two letters, such as IN")
    return value


def phone(value: object) -> str:
    """A telephone number; how it is written is the worker's to understand."""
    if not isinstance(value, str) or not any(one.isdigit() for one in value) or len(value) > 50:
        raise wrong("phone", "must be a telephone number as a text, such as +<country><number>")
    return value


def order(value: object) -> str:
    """A field and a direction."""
    if not isinstance(value, str) or not _ORDER.fullmatch(value):
        raise wrong("order", 'must be a field and a direction, such as "start:DESC"')
    return value


def instant(name: str, value: object) -> str | None:
    """A point in time as ISO 8601 with an offset."""
    if value is None:
        return None
    return _moment(name, value).isoformat().replace("+00:00", "Z")


def day(value: object) -> str:
    """A day as yyyy-mm-dd."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise wrong("day", "must be a day such as 2026-11-20") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise wrong("day", "must be a day such as 2026-11-20, without a time")
    return value.isoformat()


def notify(value: object) -> dict[str, str]:
    """Where the end is told."""
    if not isinstance(value, Notify):
        raise wrong("notify", "must be a Notify(task=..., queue=...)")
    task, queue = text("notify.task", value.task), text("notify.queue", value.queue)
    return {"task": task, "queue": queue}


def filters(value: object, *, bounded: bool = False) -> dict[str, Any] | None:
    """The vendor's filters; ``bounded`` asks for both bounds of start."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise wrong("filters", 'must be a mapping such as {"start:gte": "2026-11-20T00:00:00Z"}')
    checked = {name: _filter(name, one) for name, one in value.items() if one is not None}
    if bounded and not {"start:gte", "start:lte"} <= checked.keys():
        raise wrong("filters", "needs both start:gte and start:lte")
    if {"start:gte", "start:lte"} <= checked.keys():
        first, last = (_moment("filters", checked[bound]) for bound in ("start:gte", "start:lte"))
        if first > last:
            raise wrong("filters", "start:gte is later than start:lte")
    return checked


def _filter(name: str, value: Any) -> Any:
    field = f"filters.{name}"
    if name == "call_direction":
        if value not in _DIRECTIONS:
            raise wrong(field, f"must be one of {', '.join(_DIRECTIONS)}")
        return value
    if name in {"duration:gte", "duration:lte"}:
        return whole(field, value, 0)
    if name in {"start:gte", "start:lte"}:
        return instant(field, value)
    if name not in Filters.__annotations__:
        meant = get_close_matches(str(name).lower(), Filters.__annotations__, n=1)
        hint = f": did you mean {meant[0]!r}?" if meant else ""
        raise wrong("filters", f"knows no {name!r}{hint}")
    return text(field, value)


def _moment(name: str, value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise wrong(name, "must be a time such as 2026-11-20T00:00:00Z") from None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise wrong(name, "must be a time with an offset, such as 2026-11-20T00:00:00Z")
    return value
