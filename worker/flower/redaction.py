"""Redaction of the events, results and worker reports that Flower stores and shows.

Our workers mask the events that they send, but other senders do not: a producer with
`task_send_sent_event` publishes its arguments in full, Redis holds results in full, and every
application on the same database sends its events to the same Flower. The rules therefore list the
fields that may be shown, instead of removing what looks sensitive.
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
from tasks.runtime.job_events import FIELD
from tasks.runtime.redaction import known_account, shown_arguments

from .jobs import shown_job

_HIDDEN = "..."
_OUR_ERRORS = frozenset(name for name, value in vars(errors).items() if isinstance(value, type))
#: The repr of a listing (tasks/recordings/tasks.py).
_LISTING = re.compile(r"<\d{1,6} [a-z]{1,20}>")
_RAISED = re.compile(r"(?:\w+\.)*(\w+)\(")
#: What a person wrote about a decision names people (ledger/call_outcomes.py).
_DECISION = re.compile(r"\bdecided by .*?: the call was (not )?placed\b", re.DOTALL)
_FRAME = re.compile(r'^ +File "[^"]*", line \d+', re.MULTILINE)
#: Keeps different ids distinct after masking. Random, so that nobody can find an id by guessing.
_KEY = secrets.token_bytes(16)

#: Fields of results, in the order in which they are shown; counts come first.
_LISTS = ("recordings", "calls", "provider_job_ids", "heads")
_COUNTS = ("listed", "archived", "missing", "files", "members", "bytes", "attempts")
_PAGES = ("page", "page_size", "total_items", "total_pages")
_FLAGS = ("collected", "deleted")
_PATH = r"[a-z0-9_]+/(certified-calls|chain|exports|recordings)/[A-Za-z0-9._~/-]+"
_TIME = r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-][\d:]+)?"
#: Text is shown if it matches the field's pattern.
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
    """Remove personal and secret data from the event of a task or a worker.

    Fields that Celery does not define are dropped; a result keeps only counts, paths, checksums and
    ids.
    """
    masked = {name: _FIELDS[name](value) for name, value in event.items() if name in _FIELDS}
    if event.get("type") == "task-sent":
        masked.pop(FIELD, None)  # a producer's event: only workers know jobs
    if "exception" in masked:
        masked["exception"] = _reason(event)
    return masked


def masked_id(value: Any) -> str:
    """Return a task's id; if it looks like a telephone number, mask it but keep it unique."""
    text = str(value)
    hidden = mask(text)
    if hidden == text:
        return text
    return f"{hidden}~{blake2s(text.encode(), key=_KEY, digest_size=4).hexdigest()}"


def masked_result(value: Any) -> Any:
    """Return the harmless fields of a result as JSON values, a list's length, or three dots."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        shown = {name: show(value[name]) for name, show in _RESULTS.items() if name in value}
        return {name: inner for name, inner in shown.items() if inner is not None} or "{...}"
    return len(value) if isinstance(value, list) else _HIDDEN


def masked_exception(text: str) -> str:
    """Mask the repr of an exception: ours keep their message, others only their type."""
    raised = _RAISED.match(text)
    if raised is None:
        return _HIDDEN
    if raised[1] not in _OUR_ERRORS:
        return f"{raised[1]}({_HIDDEN})"
    if decided := _DECISION.search(text):
        what = f"decided: the call was {decided[1] or ''}placed"
        return f"{raised[1]}({('not done: ' if decided[1] else '') + what!r})"
    return mask(text)


def masked_traceback(text: Any) -> str:
    """Keep a traceback's files and line numbers; drop the exception and the lines of code."""
    return mask("\n".join(_FRAME.findall(str(text))))


def masked_inspection(value: Any, name: str = "") -> Any:
    """Mask a worker's answer to an inspect command: its state, its tasks, its configuration."""
    return mask_tree(value, _masked_field, name=name, whole=_REQUEST_FIELDS)


def _masked_field(name: str, value: Any) -> Any:
    if name in _REQUEST_FIELDS and value is not None:
        return _REQUEST_FIELDS[name](value)
    return value if _is_plain(value) else mask(str(value))


def _arguments(value: Any) -> str:
    given = _parsed(value)
    if isinstance(given, Mapping):
        return shown_arguments(given)
    if isinstance(given, str) and given.startswith("{") and given.endswith("}"):
        # The format of our workers: {account: india, filters: ...}
        pairs = (part.partition(": ") for part in given[1:-1].split(", "))
        return shown_arguments({key: inner for key, _, inner in pairs})
    return "{...}"


def _positional(value: Any) -> str:
    return "()" if _parsed(value) in ((), [], "") else "(...)"


def _result(value: Any) -> str:
    given = _parsed(value)
    if isinstance(given, str):
        return given if _LISTING.fullmatch(given) else _HIDDEN
    shown = masked_result(given)
    if not isinstance(shown, dict):
        return str(shown)
    return "{" + ", ".join(f"{name}: {inner}" for name, inner in shown.items()) + "}"


def _reason(event: Mapping[str, Any]) -> str | None:
    """Return the exception of an event.

    Our waiting jobs send a plain sentence, with the account and the day in ``kwargs``
    (tasks/runtime/dispatch.py). Celery's events of exceptions have no ``kwargs``.
    """
    if event["exception"] is None:
        return None
    text = str(event["exception"])
    is_ours = event.get("type") == "task-retried" and "kwargs" in event
    return mask(text) if is_ours else masked_exception(text)


def _count_of(value: Any) -> int | None:
    return len(value) if isinstance(value, list | Mapping) else None


def _configured_account(value: Any) -> Any:
    return value if known_account(value) else None


def _of_type(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else None


def _matching(form: str) -> Callable[[Any], str | None]:
    pattern = re.compile(form)

    def show(value: Any) -> str | None:
        return mask(value) if isinstance(value, str) and pattern.fullmatch(value) else None

    return show


def _parsed(value: Any) -> Any:
    """Return the value of a text that is a Python literal, else the text itself."""
    if not isinstance(value, str):
        return value
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    return _HIDDEN if isinstance(read, str) else read


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
    | dict.fromkeys((*_COUNTS, *_PAGES), _of_type(int))
    | dict.fromkeys(_FLAGS, _of_type(bool))
    | {"account": _configured_account}
    | {name: _matching(form) for name, form in _TEXTS.items()}
)
#: The fields of a worker's task requests that are masked like those of events.
_REQUEST_FIELDS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
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
    | {"hostname": str}  # not masked: Flower finds workers by this name
    | dict.fromkeys(("parent_id", "root_id", "uuid"), _unless_none(masked_id))
    | {"args": _unless_none(_positional), "kwargs": _unless_none(_arguments)}
    | {"result": _unless_none(_result), "exception": _text}
    | {"traceback": _unless_none(masked_traceback), FIELD: shown_job}
)
