"""How commands print: tables for people, whole lines where nobody watches, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

#: Off a terminal a line is as long as what it says.
_WIDE = 4000


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
    columns: Sequence[str] | None, rows: Iterable[Sequence[Any]], *, one_line: bool = False
) -> None:
    """Print a table, without a head where there are no names for its columns.

    ``one_line``: what is too wide for the terminal is cut rather than wrapped.
    """
    shown = console()
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=columns is not None)
    for column in columns or ():
        table.add_column(column, overflow="ellipsis" if one_line else "fold", no_wrap=one_line)
    for row in rows:
        table.add_row(*("" if cell is None else plain(str(cell)) for cell in row))
    if shown.is_terminal:
        shown.print(table, soft_wrap=False)
        return
    with shown.capture() as captured:
        shown.print(table, soft_wrap=False)
    print_lines(line.rstrip() for line in captured.get().splitlines())


def plain(text: str) -> str:
    """The text without characters that would move a terminal's cursor or change its colours."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text
    )
