"""One line an event, as text or as JSON, with the job that it belongs to and no secret.

The standard library's logging is enough: Celery, Flower and httpx log through it anyway, so what
masks them has to sit on its handlers, and what is left is two formatters.
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
from typing import Literal

from .masking import conceal, is_ours, mask, mask_message
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

#: They log whole URLs, and gsmblockchain and Ozeki take credentials in theirs.
_TALKATIVE = ("httpx", "httpcore", "hpack")

#: Of these loggers the lines hold names of ours, and what was masked where it entered.
_OF_NAMES = frozenset(
    {"archive", "celery", "config", "earwitness", "flower", "kombu", "ledger", "providers", "tasks"}
    | {"worker"}
)
#: How a line of the text log begins.
_BEGINNING = re.compile(r"^(?=\d{4}-\d\d-\d\dT)", re.MULTILINE)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("bound", default=_NOTHING)
#: Of the task that this thread runs, None where it runs none; of the message that it received last.
_task: ContextVar[Mapping[str, str] | None] = ContextVar("task", default=None)
_message: ContextVar[Mapping[str, str]] = ContextVar("message", default=_NOTHING)


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Put these fields on every line logged inside, on top of those bound outside.

    Args:
        fields: such as job_id, account, task_id; None leaves a field out.
    """
    token = _bound.set({**_bound.get(), **_said(fields)})
    try:
        yield
    finally:
        _bound.reset(token)


def begin_task(task_id: str, **fields: object) -> None:
    """A task runs in this thread from now on: every line of it says so, until `end_task`. Celery
    says how a task ended when our code has returned, so that no `bind` of ours is around that.
    """
    _task.set(_said({"task_id": task_id, **fields}))


def of_task(**fields: object) -> None:
    """What is known by now of the task that this thread runs, such as its job_id and account: on
    its lines from now on. Where it runs none, nothing is noted.
    """
    known = _task.get()
    if known is not None:
        _task.set({**known, **_said(fields)})


def end_task() -> None:
    """The task of this thread is over."""
    _task.set(None)


def received(task_id: str, **fields: object) -> None:
    """What is known of the message that this thread received last, for Celery's line about it."""
    _message.set(_said({"task_id": task_id, **fields}))


def _said(fields: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value is not None}


def configure(
    log_format: Literal["text", "json"] = "text",
    level: int | str = logging.INFO,
    secrets: Iterable[str] = (),
) -> None:
    """Log to standard error, masked, in place of every handler that the root logger had.

    Args:
        log_format: `text` for people, `json` for programs.
        level: the least severe level that is logged; httpx and httpcore stay at WARNING.
        secrets: values never to be shown, see `Settings.secret_values`.
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
    threading.excepthook = _of_thread
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of each retry without saying of what; whoever gives up says it in words.
    logging.getLogger("stamina").setLevel(logging.ERROR)


def _of_thread(ended: threading.ExceptHookArgs) -> None:
    """What ends a thread is logged, and so masked: Python itself would print it as it is."""
    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    name = ended.thread.name if ended.thread else "unknown"
    log = logging.getLogger(__name__)
    log.error("the thread %s ended by itself", name, exc_info=ended.exc_value)


class MaskingFilter(logging.Filter):
    """Rewrites a record before it is formatted: message, arguments, exception and stack become
    masked text, and the fields of `bind` are put on it. It belongs on a handler, where the records
    of every logger pass.

    Of short secrets only exceptions of others and lines of libraries lose anything: our own
    sentences and Celery's are made of names and of what was masked where it entered.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record, once, and let it pass."""
        if getattr(record, "is_masked", False):
            return True
        record.msg, record.args = _shown(record), ()
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
        elif record.exc_info and record.exc_info[1] is not None:
            record.exc_text = _exception(record.exc_info[1])
        record.exc_info = None
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        known = {**_of_celery(record), **(_task.get() or {}), **_bound.get()}
        record.bound = {name: mask(value) for name, value in known.items()}
        record.is_masked = True
        return True


def _shown(record: logging.LogRecord) -> str:
    """The message, masked. What a library writes comes from outside; our lines, and Celery's, are
    made of our own names.
    """
    is_of_names = record.name.partition(".")[0] in _OF_NAMES
    return mask(_text(record)) if is_of_names else mask_message(_text(record))


def _exception(error: BaseException) -> str:
    """An exception as Python shows it, but a message that is not ours and holds a secret."""
    shown = traceback.TracebackException.from_exception(error)
    for one in _with_those_before(shown):
        if not is_ours(one.exc_type):
            # Python offers no other way in: each exception of a chain is of its own class.
            setattr(one, "format_exception_only", partial(_last_lines, one))  # noqa: B010
    return mask("".join(shown.format()).rstrip("\n"))


def _with_those_before(
    shown: traceback.TracebackException,
) -> Iterator[traceback.TracebackException]:
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting:
        one = waiting.pop()
        if one is not None:
            yield one
            waiting += [one.__cause__, one.__context__, *(one.exceptions or ())]


def _last_lines(shown: traceback.TracebackException) -> Iterator[str]:
    text = "".join(traceback.TracebackException.format_exception_only(shown))
    kind, colon, message = text.partition(": ")
    yield f"{kind}{colon}{mask_message(message)}"


def _of_celery(record: logging.LogRecord) -> Mapping[str, str]:
    """The task that a line of Celery's own is about: such lines carry its name and id."""
    data = getattr(record, "data", None)
    if not isinstance(data, Mapping) or not isinstance(data.get("id"), str):
        return _NOTHING
    message = _message.get()
    return message if message.get("task_id") == data["id"] else {"task_id": data["id"]}


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - logging itself would print the arguments unmasked
        return f"{record.msg} (and arguments that do not fit it: {record.args!r})"


class TextLines(logging.Formatter):
    """`2026-11-20T03:04:05.678Z INFO worker.app: message [job_id=... account=...]`"""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the exception and the stack."""
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        line = f"{line} [{fields}]" if fields else line
        below = [_indented(part) for part in (record.exc_text, record.stack_info) if part]
        return "\n".join([printable(line), *below])


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the bound fields, exception, stack."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, on one line."""
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
    """The lines of an exception: what somebody else chose in it begins no line of our log."""
    return _BEGINNING.sub("  ", printable(text, keep="\n"))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Mapping[str, str]:
    fields: Mapping[str, str] = getattr(record, "bound", {})
    return fields
