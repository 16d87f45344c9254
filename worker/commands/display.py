"""Output of commands: tables on a terminal, unbroken lines elsewhere, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from config.printable import printable

#: Columns. Outside a terminal, lines are not broken.
_UNLIMITED_WIDTH = 4000
#: The gap between two columns, and the last column's least width.
_GAP, _MIN_WIDTH = 2, 20


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console that prints brackets as text and not as markup; nothing if ``quiet``."""
    shown = Console(
        stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False, quiet=quiet
    )
    if not shown.is_terminal:
        shown.width = _UNLIMITED_WIDTH
    return shown


def print_json(value: Any) -> None:
    """Print a value as JSON in ASCII, which passes through any pipe."""
    click.echo(json.dumps(value, indent=1))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, with control characters escaped."""
    for line in lines:
        click.echo(plain(line))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    one_line: bool = False,
    head: bool = True,
) -> None:
    """Print a table.

    On a narrow terminal, the last column takes several lines, or is truncated with ``one_line``.
    """
    shown = console()
    cells = [["" if cell is None else plain(str(cell)) for cell in row] for row in rows]
    room = shown.width - _taken([list(columns), *cells])
    if one_line:
        cells = [[*row[:-1], _cut(row[-1], max(room, _MIN_WIDTH))] for row in cells]
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=head)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    for row in cells:
        table.add_row(*row)
    if room < _MIN_WIDTH:
        # Too narrow for a table: let the terminal break the lines.
        shown.width = _UNLIMITED_WIDTH
    with shown.capture() as captured:
        shown.print(table, soft_wrap=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _taken(rows: list[list[str]]) -> int:
    """Return the width of all columns but the last."""
    return sum(max(map(len, column)) + _GAP for column in list(zip(*rows, strict=True))[:-1])


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "\u2026"


def plain(text: str) -> str:
    """Escape characters that would control a terminal or reverse text, as the log does."""
    return printable(text, keep="\n")
