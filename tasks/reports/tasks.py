"""The report that beat has written every morning."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from archive.store.fsync import replace_text
from config.settings import settings
from tasks.errors import InvalidArgument
from tasks.runtime.arguments import Arguments
from tasks.runtime.context import ledger
from tasks.runtime.entry import plain_task

from .content import collect, default_span
from .page import html
from .results import WrittenReport


class WriteReport(Arguments):
    """``earwitness.report.write``."""


@plain_task("report.write", WriteReport, WrittenReport)
def write_report(_: WriteReport) -> dict[str, Any]:
    """Write the report of the last 90 days into EARWITNESS_REPORT_DIR."""
    folder = settings().report_dir
    if folder is None:
        raise InvalidArgument(
            "not done: EARWITNESS_REPORT_DIR is not set for the worker that got this task; set it "
            "for every worker, or for none"
        )
    report = collect(ledger(), *default_span(ledger().database.time()))
    day = datetime.fromtimestamp(report.made_at, UTC).date()
    path = folder / f"earwitness-{day}.html"
    folder.mkdir(parents=True, exist_ok=True)
    text = html(report)
    replace_text(path, text)
    return {"path": str(path), "bytes": len(text.encode())}
