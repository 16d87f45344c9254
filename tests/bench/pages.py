"""The table and the plots in docs/speed.md, written only when asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
    """One plot: its file beside the page, its title, its unit, which rows it shows, and how."""

    name: str
    title: str
    unit: str
    rows: re.Pattern[str]
    bars: Callable[[Sequence[Row]], list[plots.Bar]]


PLOTS = (
    Plot(
        "speed-calls.svg",
        "Certified calls a second at a provider that takes 200 ms",
        "/s",
        re.compile(r"calls a second \(\w+\)"),
        plots.shared_bars,
    ),
    Plot(
        "speed-cpu.svg",
        "CPU of the worker a call",
        "ms",
        re.compile(r"CPU a call \(\w+\)"),
        plots.shared_bars,
    ),
    Plot(
        "speed-retrieve.svg",
        "Retrieve, verify and keep, beside curl, sha256sum and unzip -t in turn",
        "s",
        re.compile(r"retrieve [^:]+"),
        plots.paired_bars,
    ),
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
    return plot.bars([row for row in rows if plot.rows.fullmatch(row.what)])


def _markdown(rows: Sequence[Row]) -> list[str]:
    lines = [_line(table.COLUMNS), _line(["---"] * len(table.COLUMNS))]
    return lines + [_line(table.cells(row)) for row in rows]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |"
