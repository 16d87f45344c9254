"""One line an event, as text or as JSON, with the job that it belongs to and no secret.

The standard library's logging is enough: Celery, Flower and httpx log through it anyway, so what
masks them has to sit on its handlers, and what is left is two formatters.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

from .masking import conceal, mask

__all__ = ["MaskingFilter", "bind", "configure", "mask"]

#: They log whole URLs, and gsmblockchain and Ozeki take credentials in theirs.
_TALKATIVE = ("httpx", "httpcore", "hpack")

_bound: ContextVar[Mapping[str, str]] = ContextVar("bound", default=MappingProxyType({}))


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Put these fields on every line logged inside, on top of those bound outside.

    Args:
        fields: such as job_id, account, task_id; None leaves a field out.
    """
    said = {name: str(value) for name, value in fields.items() if value is not None}
    token = _bound.set({**_bound.get(), **said})
    try:
        yield
    finally:
        _bound.reset(token)


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
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of each retry without saying of what; whoever gives up says it in words.
    logging.getLogger("stamina").setLevel(logging.ERROR)


class MaskingFilter(logging.Filter):
    """Rewrites a record before it is formatted: message, arguments, exception and stack become
    masked text, and the fields of `bind` are put on it. It belongs on a handler, where the records
    of every logger pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record, once, and let it pass."""
        if getattr(record, "is_masked", False):
            return True
        record.msg, record.args = mask(_message(record)), ()
        if record.exc_info:
            record.exc_text = record.exc_text or logging.Formatter().formatException(
                record.exc_info
            )
            record.exc_info = None
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        record.bound = {name: mask(value) for name, value in _bound.get().items()}
        record.is_masked = True
        return True


def _message(record: logging.LogRecord) -> str:
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
        parts = [f"{line} [{fields}]" if fields else line, record.exc_text, record.stack_info]
        return "\n".join(part for part in parts if part)


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
        return json.dumps({key: value for key, value in line.items() if value}, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Mapping[str, str]:
    fields: Mapping[str, str] = getattr(record, "bound", {})
    return fields
