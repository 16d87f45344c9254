"""Events as Celery writes them, or not at all.

Every application on the same Redis may send events, and Flower keeps each field as it came: one
that is a text where it counts with a number makes a page answer 500 for as long as it is kept. So a
field of another type than Celery's is left out before anything keeps it, and an event without what
every event has is left out as a whole. Both are counted in a line of the log, without a word of
what was sent.
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

_log = logging.getLogger(__name__)

#: Of a worker there are these three; tasks may have states of their own.
_TYPE = re.compile(r"worker-(?:online|heartbeat|offline)|task-[a-z][a-z_-]{0,39}")
#: Celery cuts what it shows of arguments and results at 1,024.
_MOST_NAME, _MOST_TEXT = 255, 1 << 12
#: What JSON's readers take for whole numbers.
_MOST_INTEGER = 1 << 53
#: Seconds since 1970, until 2096.
_MOST_TIME = 4e9
_LONGEST_BEAT = 86_400.0
_TOLD_SECONDS = 60.0


class Malformed(ValueError):
    """What came is no event; the reason quotes nothing of it."""


def well_formed(event: object) -> tuple[dict[str, Any], list[str]]:
    """The event, with those fields alone that have the type that Celery gives them, and the names
    of those of Celery's fields that were left out.

    Raises Malformed where its type, its sender's name, its time or its task's id is missing.
    """
    if not isinstance(event, Mapping):
        raise Malformed("an event that is no object")
    kind = event.get("type")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise Malformed("an event of a type that Celery does not know")
    needed = ("hostname", "timestamp", *(("uuid",) if kind.startswith("task-") else ()))
    kept, left_out = {"type": kind}, []
    for name, read in _FIELDS.items():
        value = event.get(name)
        if value is None:
            continue
        kept[name] = read(value)
        if kept[name] is None:
            del kept[name]
            left_out.append(name)
    lacking = [name for name in needed if name not in kept]
    if lacking:
        raise Malformed(f"an event without a {' and a '.join(lacking)} that can be read")
    return kept, left_out


class LeftOut:
    """Counts what was left out, and says so once a minute at most."""

    def __init__(self) -> None:
        self._count = 0
        self._told_at = -math.inf

    def note(self, what: str) -> None:
        """One more; ``what`` says what it was, without a word of it."""
        self._count += 1
        if time.monotonic() - self._told_at < _TOLD_SECONDS:
            return
        _log.warning(
            "an event was left out, or a field of one: %s (%d of them since the last such line); "
            "something that is not Celery sends events to this Redis",
            what,
            self._count,
        )
        self._told_at, self._count = time.monotonic(), 0


left_out = LeftOut()


class Receiver(EventReceiver):
    """Celery's receiver of events, which hands on those alone that are well formed."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ARG002 - kombu's signature
        """Count a message that cannot be decoded; there is nothing to acknowledge."""
        left_out.note("a message that cannot be decoded")

    def _receive(self, body: Any, message: Any, *_: Any) -> None:
        for event in body if isinstance(body, list) else [body]:
            try:
                kept, lost = well_formed(event)
            except Malformed as error:
                left_out.note(str(error))
                continue
            if lost:
                left_out.note(f"its field {lost[-1]}")
            super()._receive(kept, message)


def _name(value: Any) -> str | None:
    """A name that can stand in an address, in a table and under a label."""
    fits = isinstance(value, str) and 0 < len(value) <= _MOST_NAME and value.isprintable()
    return value if fits else None


def _text(value: Any) -> str | None:
    """A text, without characters that cannot be written."""
    if not isinstance(value, str):
        return None
    return printable(value[:_MOST_TEXT], keep="\n\t")


def _shown(value: Any) -> str | None:
    """Arguments and results, which Celery writes as Python shows them."""
    try:
        return _text(value if isinstance(value, str) else repr(value))
    except (ValueError, RecursionError):  # a number of thousands of digits; a thousand lists
        return None


def _whole(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool)
    return value if fits and 0 <= value < _MOST_INTEGER else None


def _flag(value: Any) -> bool | int | None:
    return value if isinstance(value, bool) else _whole(value)


def _between(least: float, most: float) -> Callable[[Any], float | None]:
    def read(value: Any) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if least <= value <= most else None

    return read


def _loads(value: Any) -> list[float] | None:
    read = _between(0, _MOST_INTEGER)
    fits = isinstance(value, list | tuple) and len(value) == 3
    loads = [load for load in map(read, value) if load is not None] if fits else []
    return loads if len(loads) == 3 else None


#: https://docs.celeryq.dev/en/stable/userguide/monitoring.html#event-reference
_FIELDS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    dict.fromkeys(("hostname", "uuid", "root_id", "parent_id", "name"), _name)
    | dict.fromkeys(("queue", "exchange", "routing_key", "eta", "expires"), _text)
    | dict.fromkeys(("sw_ident", "sw_sys", "sw_ver", "exception", "traceback"), _text)
    | dict.fromkeys(("args", "kwargs", "result"), _shown)
    | dict.fromkeys(("active", "clock", "pid", "processed", "retries"), _whole)
    | dict.fromkeys(("expired", "requeue", "signum", "terminated"), _flag)
    | {"timestamp": _between(1, _MOST_TIME), "utcoffset": _between(-24, 24)}
    | {"freq": _between(0.001, _LONGEST_BEAT), "runtime": _between(0, _MOST_TIME)}
    | {"loadavg": _loads}
)
