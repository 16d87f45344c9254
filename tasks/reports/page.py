"""A report as one HTML page that needs no server, and its days as CSV."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from tornado.template import Loader

from config.masking import mask
from config.spreadsheets import spreadsheet_text
from ledger.core import states
from ledger.core.job import Job, iso
from ledger.quarantine import MEANING
from tasks.days import coverage
from tasks.days.coverage import DayCoverage

from . import day_calendar, plots
from .content import Report

_TEMPLATES = Loader(str(Path(__file__).parent), whitespace="all")
#: The states of days that lack nothing.
_WITHOUT_GAP = (coverage.COMPLETE, coverage.NOT_DUE)
_COLUMNS = (
    *("account", "day", "state", "listed", "archived", "missing", "bytes"),
    *("generation", "job_id", "manifest", "alert_since", "reason"),
)


@dataclass(frozen=True)
class _Card:
    name: str
    value: str
    is_bad: bool = False


@dataclass(frozen=True)
class _Account:
    alias: str
    complete: int
    lacking: int
    archived: int
    missing: int
    bytes: int
    newest: str | None
    spark: str


@dataclass(frozen=True)
class _Calls:
    account: str
    cap: int | None
    plot: str


def html(report: Report, *, numbers_shown: bool = False) -> str:
    """Return the page. Telephone numbers show three digits unless ``numbers_shown`` is set."""

    def number(job: Job) -> str:
        phone = str(job.parameters.get("phone", ""))
        return phone if numbers_shown else mask(phone)

    gaps = [day for day in _days(report) if day.state not in _WITHOUT_GAP]
    page = _TEMPLATES.load("report.html").generate(
        r=report,
        numbers_shown=numbers_shown,
        number=number,
        iso=iso,
        size=decimal,
        chr=chr,
        quarantine=MEANING,
        cards=_cards(report, gaps),
        accounts=[_account(report, alias) for alias in report.days],
        legend=day_calendar.LEGEND,
        months=day_calendar.months(report.days, report.first, report.last),
        gaps=gaps,
        recordings_plot=plots.bars(_by_day(report, _archived), report.span, _count),
        bytes_plot=plots.bars(_by_day(report, report.bytes_of), report.span, _size),
        calls=[
            _Calls(one.account, one.cap, plots.bars(one.calls, report.span, _count, cap=one.cap))
            for one in report.certified
        ],
        verification=_verification(report.verification),
    )
    return page.decode()


def table(report: Report) -> str:
    """Return the days of the report as CSV, one line for each account and day."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\r\n")
    lines.writerow(_COLUMNS)
    for day in _days(report):
        since = iso(report.since(day))
        lines.writerow(
            [
                *map(_cell, (day.account, day.day, day.state)),
                *(day.listed, day.archived, day.missing, report.bytes_of(day), day.generation),
                *map(_cell, (day.job_id, day.manifest, since, day.reason)),
            ]
        )
    return written.getvalue()


def _cell(text: str | None) -> str | None:
    return spreadsheet_text(text) if text else text


def _days(report: Report) -> Iterable[DayCoverage]:
    return (day for covered in report.days.values() for day in covered)


def _archived(day: DayCoverage) -> int | None:
    return day.archived


def _by_day(report: Report, value: Any) -> dict[date, float]:
    """Return the sum over all accounts of a value of each day."""
    found: dict[date, float] = defaultdict(float)
    for day in _days(report):
        found[date.fromisoformat(day.day)] += value(day) or 0
    return found


def _cards(report: Report, gaps: list[DayCoverage]) -> list[_Card]:
    complete = sum(day.state == coverage.COMPLETE for day in _days(report))
    open_alerts = sum(one["closed_at"] is None for one in report.alerts)
    return [
        _Card("complete days", f"{complete:,}"),
        _Card("days with gaps", f"{len(gaps):,}", is_bad=bool(gaps)),
        _Card("archived recordings", f"{sum(day.archived or 0 for day in _days(report)):,}"),
        _Card("missing recordings", *_counted(sum(day.missing or 0 for day in _days(report)))),
        _Card("stored", decimal(sum(report.bytes_of(day) or 0 for day in _days(report)))),
        _Card("open decisions", *_counted(len(report.undecided))),
        _Card("open alerts", *_counted(open_alerts)),
    ]


def _counted(number: int) -> tuple[str, bool]:
    return f"{number:,}", number > 0


def _account(report: Report, alias: str) -> _Account:
    days = report.days[alias]
    whole = [day.day for day in days if day.state == coverage.COMPLETE]
    return _Account(
        alias=alias,
        complete=len(whole),
        lacking=sum(day.state not in _WITHOUT_GAP for day in days),
        archived=sum(day.archived or 0 for day in days),
        missing=sum(day.missing or 0 for day in days),
        bytes=sum(report.bytes_of(day) or 0 for day in days),
        newest=max(whole, default=None),
        spark=plots.sparkline([day.archived or 0 for day in days]),
    )


def _verification(job: Job | None) -> str:
    """Return when the whole archive was last verified, and what was found."""
    if job is None:
        return (
            "No job has verified the whole archive yet; beat starts one every Sunday, and "
            "earwitness verify does it at any time."
        )
    when = iso(job.updated_at)
    read = job.result or {}
    files = read.get("files", 0)
    many = f"{files:,} file{'s' * (files != 1)}, {decimal(int(read.get('bytes', 0)))}"
    if job.state == states.DONE:
        return f"The whole archive was last verified at {when}: no problem in {many}."
    return (
        f"The last verification of the whole archive ended at {when} as {job.state}: {job.reason}"
    )


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _size(value: float) -> str:
    return decimal(int(value))
