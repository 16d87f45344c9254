"""How commands print: tables for people, whole lines where nobody watches, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from config.printable import printable

#: Off a terminal a line is as long as what it says.
_WIDE = 4000
#: Between two columns; what the last column needs at least.
_GAP, _LEAST = 2, 20


def console(*, stderr: bool = False) -> Console:
    """Where people read. What stands in brackets is text, not markup."""
    shown = Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)
    if not shown.is_terminal:
        shown.width = _WIDE
    return shown


def print_json(value: Any) -> None:
    """Print a value as JSON, in ASCII, so that it passes through any pipe."""
    click.echo(json.dumps(value, indent=1))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        click.echo(plain(line))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    one_line: bool = False,
    head: bool = True,
) -> None:
    """Print a table whose last column takes several lines where the terminal is too narrow, or is
    cut there (``one_line``).
    """
    shown = console()
    cells = [["" if cell is None else plain(str(cell)) for cell in row] for row in rows]
    room = shown.width - _taken([list(columns), *cells])
    if one_line:
        cells = [[*row[:-1], _cut(row[-1], max(room, _LEAST))] for row in cells]
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=head)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    for row in cells:
        table.add_row(*row)
    if room < _LEAST:
        # Nothing is squeezed: the terminal breaks the lines where they end.
        shown.width = _WIDE
    with shown.capture() as captured:
        shown.print(table, soft_wrap=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _taken(rows: list[list[str]]) -> int:
    """The width of all columns but the last."""
    return sum(max(map(len, column)) + _GAP for column in list(zip(*rows, strict=True))[:-1])


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "\u2026"


def plain(text: str) -> str:
    """The text without characters that would move a terminal's cursor, change its colours or turn
    its letters round: they are shown as the log shows them.
    """
    return printable(text, keep="\n")
