"""Validation of Celery's events before Flower stores them.

Every application on the same Redis may send events, and Flower stores each field as received: text
in a numeric field makes a page answer 500 until Flower forgets the task. The receiver therefore
drops fields that do not have Celery's type, and whole events that lack a mandatory field. A log
line counts both and quotes nothing of their content.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from celery.events import EventReceiver

from config.printable import printable
from tasks.runtime.job_events import DECIDED, FIELD

_log = logging.getLogger(__name__)

#: Workers send these three; tasks may define custom states; a decision is ours.
_TYPE = re.compile(
    rf"worker-(?:online|heartbeat|offline)|task-[a-z][a-z_-]{{0,39}}|{re.escape(DECIDED)}"
)
#: Characters. Celery truncates arguments and results to 1,024.
_MAX_NAME, _MAX_TEXT = 255, 1 << 12
#: The largest integer that every JSON parser reads exactly.
_MAX_INTEGER = 1 << 53
#: Seconds since 1970, until 2096.
_MAX_TIME = 4e9
_MAX_HEARTBEAT_SECONDS = 86_400.0
_LOG_SECONDS = 60.0
#: Ours has six names.
_MOST_NAMES = 16


class MalformedEvent(ValueError):
    """A message is not a Celery event; the text quotes nothing of it."""


def well_formed(event: object) -> tuple[dict[str, Any], list[str]]:
    """Return the event with its valid fields only, and the names of the Celery fields dropped.

    Raises MalformedEvent if the type, the hostname, the timestamp or a task's id is missing or
    invalid.
    """
    if not isinstance(event, Mapping):
        raise MalformedEvent("an event that is not an object")
    kind = event.get("type")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise MalformedEvent("an event of a type that Celery does not know")
    needed = ("hostname", "timestamp", *(("uuid",) if kind.startswith("task-") else ()))
    kept, dropped = {"type": kind}, []
    for name, read in _FIELDS.items():
        value = event.get(name)
        if value is None:
            continue
        kept[name] = read(value)
        if kept[name] is None:
            del kept[name]
            dropped.append(name)
    lacking = [name for name in needed if name not in kept]
    if lacking:
        raise MalformedEvent(f"an event without a {' and a '.join(lacking)} that can be read")
    return kept, dropped


class DroppedEvents:
    """Counts dropped events and fields; logs the count at most once a minute."""

    def __init__(self) -> None:
        self._count = 0
        self._logged_at = -math.inf

    def note(self, what: str) -> None:
        """Count one more; ``what`` describes it and must not quote its content."""
        self._count += 1
        if time.monotonic() - self._logged_at < _LOG_SECONDS:
            return
        _log.warning(
            "an event was left out, or a field of one: %s (%d since the last such line); something "
            "other than Celery sends events to this Redis",
            what,
            self._count,
        )
        self._logged_at, self._count = time.monotonic(), 0


dropped_events = DroppedEvents()


class Receiver(EventReceiver):
    """Celery's event receiver, limited to well-formed events."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ARG002 - kombu's signature
        """Count a message that cannot be decoded; events need no acknowledgement."""
        dropped_events.note("a message that cannot be decoded")

    def _receive(self, body: Any, message: Any, *_: Any) -> None:
        for event in body if isinstance(body, list) else [body]:
            try:
                kept, lost = well_formed(event)
            except MalformedEvent as error:
                dropped_events.note(str(error))
                continue
            if lost:
                dropped_events.note(f"its field {lost[-1]}")
            super()._receive(kept, message)


def _name(value: Any) -> str | None:
    """Accept a printable name, short enough for a URL, a table and a metric's label."""
    fits = isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable()
    return value if fits else None


def _text(value: Any) -> str | None:
    """Accept text; replace characters that cannot be printed."""
    if not isinstance(value, str):
        return None
    return printable(value[:_MAX_TEXT], keep="\n\t")


def _repr(value: Any) -> str | None:
    """Accept arguments and results, which Celery sends as their repr."""
    try:
        return _text(value if isinstance(value, str) else repr(value))
    except (ValueError, RecursionError):  # integers of thousands of digits; deeply nested lists
        return None


def _whole(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool)
    return value if fits and 0 <= value < _MAX_INTEGER else None


def _flag(value: Any) -> bool | int | None:
    return value if isinstance(value, bool) else _whole(value)


def _between(least: float, most: float) -> Callable[[Any], float | None]:
    def read(value: Any) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if least <= value <= most else None

    return read


def _loads(value: Any) -> list[float] | None:
    read = _between(0, _MAX_INTEGER)
    fits = isinstance(value, list | tuple) and len(value) == 3
    loads = [load for load in map(read, value) if load is not None] if fits else []
    return loads if len(loads) == 3 else None


def _mapping(value: Any) -> dict[str, Any] | None:
    fits = isinstance(value, Mapping) and len(value) <= _MOST_NAMES
    return dict(value) if fits else None


#: https://docs.celeryq.dev/en/stable/userguide/monitoring.html#event-reference, and our own
_FIELDS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    dict.fromkeys(("hostname", "uuid", "root_id", "parent_id", "name"), _name)
    | dict.fromkeys(("queue", "exchange", "routing_key", "eta", "expires"), _text)
    | dict.fromkeys(("sw_ident", "sw_sys", "sw_ver", "exception", "traceback"), _text)
    | dict.fromkeys(("args", "kwargs", "result"), _repr)
    | dict.fromkeys(("active", "clock", "pid", "processed", "retries"), _whole)
    | dict.fromkeys(("expired", "requeue", "signum", "terminated"), _flag)
    | {"timestamp": _between(1, _MAX_TIME), "utcoffset": _between(-24, 24)}
    | {"freq": _between(0.001, _MAX_HEARTBEAT_SECONDS), "runtime": _between(0, _MAX_TIME)}
    | {"loadavg": _loads, FIELD: _mapping}
)
