"""``python -m tests.bench``: everything that is measured, as one table."""

from __future__ import annotations

import click

from .run import measured
from .sizes import FULL
from .table import machine, show, write


@click.command()
@click.option("--json", "file", type=click.Path(dir_okay=False), help="Write the same there.")
def bench(file: str | None) -> None:
    """Measure Earwitness against peers in the same run, and print the ratios."""
    head = machine()
    rows = list(measured(FULL, on_row=lambda row: click.echo(f"  {row.what}", err=True)))
    show(head, rows)
    if file:
        write(file, head, rows)


if __name__ == "__main__":
    bench()
