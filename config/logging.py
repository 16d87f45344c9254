"""Log lines as text or JSON, with the job's fields and without secrets.

The standard library's logging is enough. Celery, Flower and httpx use it, so the masking belongs on
its handlers, and only two formatters remain to be written.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from .masking import conceal, is_ours, mask, mask_field, mask_message
from .printable import printable, printable_json

__all__ = [
    "MaskingFilter",
    "begin_task",
    "bind",
    "configure",
    "end_task",
    "mask",
    "of_task",
    "received",
]

#: They log whole URLs, and some providers take credentials in URLs.
_VERBOSE_LOGGERS = ("httpx", "httpcore", "hpack")

#: Lines of these loggers contain our own names, and foreign text that was masked where it entered.
_MASKED_AT_ENTRY = frozenset(
    {"archive", "celery", "config", "earwitness", "flower", "kombu", "ledger", "providers", "tasks"}
    | {"worker"}
)
#: The start of a line in the text log.
_LINE_START = re.compile(r"^(?=\d{4}-\d\d-\d\dT)", re.MULTILINE)

_NO_FIELDS: Mapping[str, str] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("bound", default=_NO_FIELDS)
#: The fields of this thread's running task (None without one), and of the message received last.
_task: ContextVar[Mapping[str, str] | None] = ContextVar("task", default=None)
_message: ContextVar[Mapping[str, str]] = ContextVar("message", default=_NO_FIELDS)


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Add fields to every line logged inside the context, besides those bound outside.

    Args:
        fields: such as job_id, account and task_id; fields that are None are omitted.
    """
    token = _bound.set({**_bound.get(), **_as_text(fields)})
    try:
        yield
    finally:
        _bound.reset(token)


def begin_task(task_id: str, **fields: object) -> None:
    """Add the task's fields to every line of this thread until `end_task`.

    Celery logs a task's end after our code has returned, when no `bind` is in effect.
    """
    _task.set(_as_text({"task_id": task_id, **fields}))


def of_task(**fields: object) -> None:
    """Add fields, such as job_id and account, to those of this thread's task, if it runs one."""
    present = _task.get()
    if present is not None:
        _task.set({**present, **_as_text(fields)})


def end_task() -> None:
    """Remove the task's fields from this thread's lines."""
    _task.set(None)


def received(task_id: str, **fields: object) -> None:
    """Set the fields of the message that this thread received last, for Celery's line about it."""
    _message.set(_as_text({"task_id": task_id, **fields}))


def _as_text(fields: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value is not None}


def configure(
    log_format: Literal["text", "json"] = "text",
    level: int | str = logging.INFO,
    secrets: Iterable[str] = (),
) -> None:
    """Log to standard error with masking; replace the root logger's handlers.

    Args:
        log_format: `text` for people, `json` for programs.
        level: the lowest level that is logged; httpx and httpcore stay at WARNING.
        secrets: values that no line may show, see `Settings.secret_values`.
    """
    conceal(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(MaskingFilter())
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error
    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # stamina warns of each retry without naming the task; the caller logs the final failure.
    logging.getLogger("stamina").setLevel(logging.ERROR)


def _log_thread_error(ended: threading.ExceptHookArgs) -> None:
    """Log the exception that ended a thread, because Python would print it unmasked."""
    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    name = ended.thread.name if ended.thread else "unknown"
    log = logging.getLogger(__name__)
    log.error("the thread %s ended unexpectedly", name, exc_info=ended.exc_value)


class MaskingFilter(logging.Filter):
    """Masks a record's message, arguments, exception and stack, and adds the fields of `bind`.

    The filter belongs on a handler, which receives the records of every logger. Short secrets are
    masked only in foreign exceptions and in lines of libraries; our own lines and Celery's contain
    our names, and foreign text that was masked where it entered.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record once; always accept it."""
        if getattr(record, "is_masked", False):
            return True
        record.msg, record.args = _masked_message(record), ()
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
        elif record.exc_info and record.exc_info[1] is not None:
            record.exc_text = _exception(record.exc_info[1])
        record.exc_info = None
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        fields = {**_celery_fields(record), **(_task.get() or {}), **_bound.get()}
        record.bound = {name: mask_field(value) for name, value in fields.items()}
        record.is_masked = True
        return True


def _masked_message(record: logging.LogRecord) -> str:
    """Mask the message; a library's line counts as foreign text."""
    is_masked_at_entry = record.name.partition(".")[0] in _MASKED_AT_ENTRY
    return mask(_text(record)) if is_masked_at_entry else mask_message(_text(record))


def _exception(error: BaseException) -> str:
    """Format an exception as Python does, with the messages of foreign exceptions masked."""
    shown = traceback.TracebackException.from_exception(error)
    for one, raised in _chain(shown, error):
        if not is_ours(type(raised)):
            # Python offers no other hook for the single exceptions of a chain.
            setattr(one, "format_exception_only", partial(_last_lines, one))  # noqa: B010
    return mask("".join(shown.format()).rstrip("\n"))


def _chain(
    shown: traceback.TracebackException, error: BaseException
) -> Iterator[tuple[traceback.TracebackException, BaseException]]:
    """Yield what Python shows of each exception of a chain, with the exception itself."""
    waiting = [(shown, error)]
    while waiting:
        one, raised = waiting.pop()
        yield one, raised
        if one.__cause__ is not None and raised.__cause__ is not None:
            waiting.append((one.__cause__, raised.__cause__))
        if one.__context__ is not None and raised.__context__ is not None:
            waiting.append((one.__context__, raised.__context__))
        if one.exceptions and isinstance(raised, BaseExceptionGroup):
            waiting += zip(one.exceptions, raised.exceptions, strict=True)


def _last_lines(shown: traceback.TracebackException, **options: Any) -> Iterator[str]:
    # Python 3.13 and later pass options: whether to use colours, for example.
    text = "".join(traceback.TracebackException.format_exception_only(shown, **options))
    kind, colon, message = text.partition(": ")
    yield f"{kind}{colon}{mask_message(message)}"


def _celery_fields(record: logging.LogRecord) -> Mapping[str, str]:
    """Return the fields of the task that Celery's line is about; such lines carry its id."""
    data = getattr(record, "data", None)
    if not isinstance(data, Mapping) or not isinstance(data.get("id"), str):
        return _NO_FIELDS
    message = _message.get()
    return message if message.get("task_id") == data["id"] else {"task_id": data["id"]}


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - raised, logging would print the arguments unmasked
        return f"{record.msg} (and arguments that do not fit it: {record.args!r})"


class TextLines(logging.Formatter):
    """`2026-11-20T03:04:05.678Z INFO worker.app: message [job_id=... account=...]`"""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the exception and the stack."""
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        line = f"{line} [{fields}]" if fields else line
        below = [_indented(part) for part in (record.exc_text, record.stack_info) if part]
        return "\n".join([printable(line), *below])


class JsonLines(logging.Formatter):
    """JSON, one object a line: time, level, logger, message, bound fields, exception, stack."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object on one line."""
        line = {
            **_fields(record),
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "exception": record.exc_text,
            "stack": record.stack_info,
        }
        return printable_json({key: value for key, value in line.items() if value})


def _indented(text: str) -> str:
    """Indent an exception's lines that look like log lines; foreign text may imitate them."""
    return _LINE_START.sub("  ", printable(text, keep="\n"))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Mapping[str, str]:
    fields: Mapping[str, str] = getattr(record, "bound", {})
    return fields
