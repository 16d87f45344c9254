"""What Flower may keep and show of events, results and workers, whoever sent them.

Our own workers mask what they tell. Others do not: a producer with `task_send_sent_event` publishes
its arguments as they are, a result stands as it is in Redis, and every application on the same
database tells its events to the same Flower. So what is shown is what is known to be harmless, not
what is left when something harmful was found.
"""

from __future__ import annotations

import ast
import re
import secrets
from collections.abc import Callable, Mapping
from hashlib import blake2s
from types import MappingProxyType
from typing import Any

from config.masking import mask, mask_tree
from ledger.core import states
from tasks import errors
from tasks.runtime.redaction import known_account, shown_arguments

_UNSAID = "..."
_OURS = frozenset(name for name, value in vars(errors).items() if isinstance(value, type))
#: What a listing says of itself (tasks/recordings/tasks.py).
_LISTING = re.compile(r"<\d{1,6} [a-z]{1,20}>")
_RAISED = re.compile(r"(?:\w+\.)*(\w+)\(")
_FRAME = re.compile(r'^ +File "[^"]*", line \d+', re.MULTILINE)
#: Makes different ids different once they are masked; known to nobody, so that none is guessed.
_KEY = secrets.token_bytes(16)

#: Fields of results, in the order in which they are shown: how many first.
_LISTS = ("recordings", "calls", "provider_job_ids", "heads")
_COUNTS = ("listed", "archived", "missing", "files", "members", "bytes", "attempts")
_PAGES = ("page", "page_size", "total_items", "total_pages")
_FLAGS = ("collected", "deleted")
_PATH = r"[a-z0-9_]+/(certified-calls|chain|exports|recordings)/[A-Za-z0-9._~/-]+"
_TIME = r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-][\d:]+)?"
#: A text is shown where it has the form that ours has under this name.
_TEXTS = {
    "kind": r"(archive|call|certified_call|export|job|nightly|recording)\.[a-z]+",
    "state": "|".join(states.ALL),
    "platform_phone": r"[\d +().-]+",
    "recording_id": r"[0-9a-f-]+",
    **dict.fromkeys(("archived_as", "manifest", "path"), _PATH),
    **dict.fromkeys(("recording_since", "created_at", "updated_at", "next_attempt_at"), _TIME),
    "format": r"[a-z0-9]{2,4}",
    "job_id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "sha256": r"[0-9a-f]{64}",
}


def masked_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of a task or a worker without what is personal or secret.

    Fields that Celery does not define are left out; a result shows only counts, paths, checksums
    and ids.
    """
    told = {name: _FIELDS[name](value) for name, value in event.items() if name in _FIELDS}
    if "exception" in told:
        told["exception"] = _reason(event)
    return told


def masked_id(value: Any) -> str:
    """A task's id as it is, unless it looks like a number of a person: then masked, but unique."""
    text = str(value)
    hidden = mask(text)
    if hidden == text:
        return text
    return f"{hidden}~{blake2s(text.encode(), key=_KEY, digest_size=4).hexdigest()}"


def masked_result(value: Any) -> Any:
    """What may be shown of a result, as values for JSON: fields that are known to be harmless, how
    many there are in a list, or three dots.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        shown = {name: show(value[name]) for name, show in _RESULTS.items() if name in value}
        return {name: inner for name, inner in shown.items() if inner is not None} or "{...}"
    return len(value) if isinstance(value, list) else _UNSAID


def masked_exception(text: str) -> str:
    """An exception as Python writes it: ours with their message, of others only what they are."""
    raised = _RAISED.match(text)
    if raised is None:
        return _UNSAID
    return mask(text) if raised[1] in _OURS else f"{raised[1]}({_UNSAID})"


def masked_traceback(text: Any) -> str:
    """Where it was raised. What was raised is left out, and with it the lines of code."""
    return mask("\n".join(_FRAME.findall(str(text))))


def masked_inspection(value: Any, name: str = "") -> Any:
    """What a worker tells of itself, of the tasks that it holds and of its configuration."""
    return mask_tree(value, _inspected, name=name, whole=_HELD)


def _inspected(name: str, value: Any) -> Any:
    if name in _HELD and value is not None:
        return _HELD[name](value)
    return value if _is_plain(value) else mask(str(value))


def _arguments(value: Any) -> str:
    given = _read(value)
    if isinstance(given, Mapping):
        return shown_arguments(given)
    if isinstance(given, str) and given.startswith("{") and given.endswith("}"):
        # As our own workers write them: {account: india, filters: ...}
        pairs = (part.partition(": ") for part in given[1:-1].split(", "))
        return shown_arguments({key: inner for key, _, inner in pairs})
    return "{...}"


def _positional(value: Any) -> str:
    return "()" if _read(value) in ((), [], "") else "(...)"


def _result(value: Any) -> str:
    given = _read(value)
    if isinstance(given, str):
        return given if _LISTING.fullmatch(given) else _UNSAID
    shown = masked_result(given)
    if not isinstance(shown, dict):
        return str(shown)
    return "{" + ", ".join(f"{name}: {inner}" for name, inner in shown.items()) + "}"


def _reason(event: Mapping[str, Any]) -> str | None:
    """A job of ours that waits says why in plain words, and beside them of which account and day it
    is (tasks/runtime/dispatch.py); Celery's own events of exceptions never hold arguments.
    """
    told = event["exception"]
    if told is None:
        return None
    text = str(told)
    is_ours = event.get("type") == "task-retried" and "kwargs" in event
    return mask(text) if is_ours else masked_exception(text)


def _count_of(value: Any) -> int | None:
    return len(value) if isinstance(value, list | Mapping) else None


def _known(value: Any) -> Any:
    return value if known_account(value) else None


def _if(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else None


def _formed(form: str) -> Callable[[Any], str | None]:
    known = re.compile(form)
    return lambda value: mask(value) if isinstance(value, str) and known.fullmatch(value) else None


def _read(value: Any) -> Any:
    """The value that a text stands for, where it is one that Python can read."""
    if not isinstance(value, str):
        return value
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    return _UNSAID if isinstance(read, str) else read


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _number(value: Any) -> Any:
    """A number or a list of numbers; what stands under a name inside is none of Celery's."""
    return mask_tree(value, lambda name, one: one if _is_plain(one) and not name else _text(one))


def _text(value: Any) -> str | None:
    return None if value is None else mask(str(value))


def _unless_none(show: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else show(value)


#: How each field of a result is shown.
_RESULTS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    dict.fromkeys(_LISTS, _count_of)
    | dict.fromkeys((*_COUNTS, *_PAGES), _if(int))
    | dict.fromkeys(_FLAGS, _if(bool))
    | {"account": _known}
    | {name: _formed(form) for name, form in _TEXTS.items()}
)
#: Of the requests that a worker holds: what is masked as in events.
_HELD: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"args": _positional, "kwargs": _arguments, "id": masked_id, "argsrepr": _positional}
    | {"kwargsrepr": _arguments, "root_id": masked_id, "parent_id": masked_id}
)
#: Every field of Celery's events, and how it is shown:
#: https://docs.celeryq.dev/en/stable/userguide/monitoring.html#event-reference
_FIELDS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    dict.fromkeys(("active", "clock", "freq", "loadavg", "local_received", "pid"), _number)
    | dict.fromkeys(("processed", "retries", "runtime", "timestamp", "utcoffset"), _number)
    | dict.fromkeys(("expired", "requeue", "signum", "terminated"), _number)
    | dict.fromkeys(("eta", "exchange", "expires", "name", "queue", "routing_key"), _text)
    | dict.fromkeys(("sw_ident", "sw_sys", "sw_ver", "type"), _text)
    | {"hostname": str}  # of a worker: masked, the worker would not be found under its name
    | dict.fromkeys(("parent_id", "root_id", "uuid"), _unless_none(masked_id))
    | {"args": _unless_none(_positional), "kwargs": _unless_none(_arguments)}
    | {"result": _unless_none(_result), "exception": _text}
    | {"traceback": _unless_none(masked_traceback)}
)
