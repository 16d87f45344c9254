"""The parts of a report: calendar, plots and CSV, for spans and numbers of any size."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from tasks.days.coverage import COMPLETE, FAILED, INCOMPLETE, NOT_DUE, DayCoverage
from tasks.reports import day_calendar, page, plots
from tasks.reports.content import Report

FIRST = date(2025, 10, 26)


def report_of(accounts: int, number: int, **given: Any) -> Report:
    """A report of complete days."""
    span = [FIRST + timedelta(days=n) for n in range(number)]
    covered = {
        f"branch{a:02d}": [
            DayCoverage(f"branch{a:02d}", str(day), COMPLETE, 24, 24, 0, manifest="x/job/m.json")
            for day in span
        ]
        for a in range(accounts)
    }
    standard = Report(
        made_at=0,
        version="1",
        ledger_id="id",
        first=span[0],
        last=span[-1],
        account=None,
        days=covered,
        stored_bytes={"job": 1000},
        undecided=[],
        decisions=[],
        alerts=[],
        waiting=[],
        certified=[],
        heads=[],
        verification=None,
        is_quarantined=False,
        problem=None,
    )
    return replace(standard, **given)


def test_forty_accounts_and_four_hundred_days_are_one_readable_page() -> None:
    """A table for each month, a row for each account, a cell for each day, in a file that a mail
    takes.
    """
    text = page.html(report_of(40, 400))
    assert len(text.encode()) < 3_000_000
    months = list(day_calendar.months(report_of(40, 400).days, FIRST, FIRST + timedelta(days=399)))
    assert (months[0].name, months[-1].name) == ("November 2026", "October 2025")
    assert all(len(month.rows) == 40 and len(month.days) <= 31 for month in months)
    filled = [cell for month in months for _, row in month.rows for cell in row if cell]
    assert len(filled) == 40 * 400
    assert text.count('class="complete" title=') == 40 * 400


@pytest.mark.parametrize(
    ("day", "text", "title"),
    [
        (DayCoverage("a", "2026-11-20", COMPLETE, 9999, 9999, 0), "9.9k", "complete, 9999 of 9999"),
        (DayCoverage("a", "2026-11-20", COMPLETE, 0, 0, 0), "0", "complete, 0 of 0"),
        (DayCoverage("a", "2026-11-20", INCOMPLETE, 9, 7, 2), "\u22122", "incomplete, 7 of 9"),
        (DayCoverage("a", "2026-11-20", FAILED, reason="why"), "\u00d7", "failed: why"),
        (DayCoverage("a", "2026-11-20", NOT_DUE), "", "not due"),
    ],
)
def test_cells(day: DayCoverage, text: str, title: str) -> None:
    """A cell says its state by a sign as well as by its colour, and all of it in its title."""
    cell = day_calendar.cell(day)
    assert (cell.text, cell.title) == (text, f"a 2026-11-20: {title}")
    assert cell.style == day.state.replace(" ", "-")


@pytest.mark.parametrize(
    "count", [0, 7, 999, 1000, 1049, 9949, 9950, 9999, 99_999, 999_499, 5_000_000]
)
def test_counts_fit_into_a_cell(count: int) -> None:
    """No count takes more than four characters."""
    assert 1 <= len(day_calendar.short(count)) <= 4


@pytest.mark.parametrize("days", [1, 2, 14, 90, 400, 4000])
@pytest.mark.parametrize("values", [(), (0,), (1,), (3, 0.5), (1e12, 1)])
def test_plots_are_whole_svg(days: int, values: Sequence[float]) -> None:
    """Any span and any values give a drawing that an XML parser takes, with a bar for each value
    within the frame and without labels over each other.
    """
    span = [FIRST + timedelta(days=n) for n in range(days)]
    drawn = plots.bars(
        dict(zip(span, values, strict=False)), span, lambda value: f"<{value:g}>", cap=2
    )
    root = ET.fromstring(drawn)
    bars = root.findall("rect")
    assert len(bars) == sum(value > 0 for value in values[:days])
    assert all(float(bar.attrib["y"]) >= 0 and float(bar.attrib["height"]) >= 0 for bar in bars)
    below = [
        float(one.attrib["x"]) for one in root.findall("text") if "text-anchor" not in one.attrib
    ]
    assert all(after - before >= 50 for before, after in itertools.pairwise(below))


def test_a_table_runs_no_formula() -> None:
    """A reason that a spreadsheet would take for a formula is a text in the CSV file."""
    day = DayCoverage("a", str(FIRST), FAILED, reason='=HYPERLINK("http://x")')
    (line,) = page.table(report_of(1, 1, days={"a": [day]})).splitlines()[1:]
    assert "\"'=HYPERLINK" in line


def test_what_people_and_providers_write_is_no_markup() -> None:
    """A reason with markup is shown as it is written."""
    day = DayCoverage("a", str(FIRST), FAILED, reason='<script>alert(1)</script>" onload="x')
    text = page.html(report_of(1, 1, days={"a": [day]}, problem="<i>"))
    assert "<script>" not in text
    assert "<i>" not in text
    assert 'onload="x' not in text
