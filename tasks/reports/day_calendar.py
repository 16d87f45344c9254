"""The calendar of a report: one table a month, with a row for each account and a cell for each
day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tasks.days import coverage
from tasks.days.coverage import DayCoverage

#: What stands in the cell of a day without a number to show. Colours alone tell nothing on paper.
_SIGNS = {
    coverage.COMPLETE: "\u2713",
    coverage.INCOMPLETE: "?",
    coverage.DAMAGED: "!",
    coverage.FAILED: "\u00d7",
    coverage.WAITING: "\u2026",
    coverage.GAVE_UP: "\u2205",
    coverage.NOT_DUE: "",
}
#: The states in the order in which the legend explains them.
LEGEND = (
    (coverage.COMPLETE, "24", "complete: the number of archived recordings"),
    (coverage.INCOMPLETE, "\u22122", "incomplete: the number of missing recordings"),
    (coverage.DAMAGED, "!", "damaged: files are gone from the archive"),
    (coverage.FAILED, "\u00d7", "failed: no run of the day has reached a manifest"),
    (coverage.WAITING, "\u2026", "waiting: planned, running or to be tried again"),
    (coverage.GAVE_UP, "\u2205", "gave up: too old for the nights to catch up"),
    (coverage.NOT_DUE, "", "not due"),
)


@dataclass(frozen=True)
class Cell:
    """One day of one account: the state as a class of the style sheet, its text and its title."""

    style: str
    text: str
    title: str


@dataclass(frozen=True)
class Month:
    """The table of one month: its name, its days, and a row of cells for each account."""

    name: str
    days: Sequence[date]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]


def months(days: Mapping[str, Sequence[DayCoverage]], first: date, last: date) -> Iterator[Month]:
    """Yield the months of a span, the newest first."""
    cells = {(alias, day.day): cell(day) for alias, covered in days.items() for day in covered}
    year, month = last.year, last.month
    while (year, month) >= (first.year, first.month):
        dates = [date(year, month, n + 1) for n in range(monthrange(year, month)[1])]
        rows = [(alias, [cells.get((alias, day.isoformat())) for day in dates]) for alias in days]
        yield Month(f"{dates[0]:%B %Y}", dates, rows)
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def cell(day: DayCoverage) -> Cell:
    """Return the cell of a day."""
    text = _SIGNS[day.state]
    if day.state == coverage.COMPLETE and day.archived is not None:
        text = short(day.archived)
    elif day.state == coverage.INCOMPLETE and day.missing:
        text = f"\u2212{short(day.missing)}"
    about = "" if day.listed is None else f", {day.archived} of {day.listed}"
    why = f": {day.reason}" if day.reason else ""
    return Cell(
        day.state.replace(" ", "-"), text, f"{day.account} {day.day}: {day.state}{about}{why}"
    )


def short(count: int) -> str:
    """Return a count in at most four characters, never more than it is."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            tenths = count * 10 // size
            return f"{tenths / 10:.1f}{unit}" if tenths < 100 else f"{tenths // 10}{unit}"
    return str(count)
