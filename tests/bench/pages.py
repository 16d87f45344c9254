"""The table and the plots in docs/speed.md, written only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deployment import ROOT

from . import plots, table
from .measurement import Row

PAGE = ROOT / "docs" / "speed.md"
#: Between these lines of the page stands what the benchmark writes.
BEGIN, END = "<!-- Written by make bench: begin -->", "<!-- Written by make bench: end -->"


@dataclass(frozen=True)
class Plot:
    """One plot: its file beside the page, its title, its unit, and how its rows begin."""

    name: str
    title: str
    unit: str
    begins: tuple[str, ...]


PLOTS = (
    Plot(
        "speed-calls.svg",
        "Certified calls a second at a provider that takes 200 ms",
        "/s",
        ("calls a second (SQLite)", "calls a second (PostgreSQL)"),
    ),
    Plot(
        "speed-cpu.svg",
        "CPU of the worker a call",
        "ms",
        ("CPU a call (SQLite)", "CPU a call (PostgreSQL)"),
    ),
    Plot("speed-retrieve.svg", "Retrieve, verify and keep a ZIP", "s", ("retrieve ",)),
)


def write(head: str, rows: Sequence[Row], page: Path = PAGE) -> list[Path]:
    """Write the table into the page and the plots beside it; return the files written.

    Raises ValueError if the page has no place for it.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no line {BEGIN!r} before a line {END!r}")
    drawn = [plot for plot in PLOTS if _bars(plot, rows)]
    for plot in drawn:
        (page.parent / plot.name).write_text(plots.svg(plot.title, plot.unit, _bars(plot, rows)))
    images = [f"![{plot.title}]({plot.name})\n" for plot in drawn]
    parts = [BEGIN, f"{head}\n", *_markdown(rows), "", *images, END]
    page.write_text(before + "\n".join(parts) + after)
    return [page, *(page.parent / plot.name for plot in drawn)]


def _bars(plot: Plot, rows: Sequence[Row]) -> list[plots.Bar]:
    named = dict.fromkeys(
        row.what for row in rows if row.what.startswith(plot.begins) and row.unit == plot.unit
    )
    return plots.bars_of(rows, [what for what in named if ": CPU" not in what])


def _markdown(rows: Sequence[Row]) -> list[str]:
    lines = [_line(table.COLUMNS), _line(["---"] * len(table.COLUMNS))]
    return lines + [_line(table.cells(row)) for row in rows]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |"
