"""``python -m tests.bench``: everything that is measured, as one table."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.deployment import ROOT

from . import pages, profile
from .measurement import Row
from .run import BENCHMARKS, measured
from .sizes import FULL, SHORT
from .table import machine, read, show, write

_NAMES = "\n".join(f"  {name:<11} {what}" for name, what in BENCHMARKS.items())
_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog=f"\b\nBenchmarks:\n{_NAMES}\n\n\b\nProfiles:\n  {', '.join(profile.PATHS)}")
@click.argument("names", nargs=-1, type=click.Choice([*BENCHMARKS]), metavar="[BENCHMARK]...")
@click.option(
    "--full",
    is_flag=True,
    help="Medians of five at full size (about 70 minutes), not one small turn.",
)
@click.option("--no-peers", is_flag=True, help="Leave out RQ, dramatiq, procrastinate and DBOS.")
@click.option("--json", "file", type=_PATH, help="Write JSON there and not to var/bench/.")
@click.option(
    "--from", "files", type=_PATH, multiple=True, help="Take the rows from such JSON; may repeat."
)
@click.option("--write-docs", is_flag=True, help="Write table and plots into docs/speed.md.")
@click.option(
    "--profile",
    "path",
    type=click.Choice([*profile.PATHS]),
    help="Show where the CPU of one path goes, and measure nothing else.",
)
def bench(
    names: tuple[str, ...],
    full: bool,
    no_peers: bool,
    file: Path | None,
    files: tuple[Path, ...],
    write_docs: bool,
    path: str | None,
) -> None:
    """Measure Earwitness beside peers in the same run, and print the ratios.

    Without a name, all benchmarks run. A run in which a row, a receipt or another record is missing
    ends with an error.
    """
    # Without it, SIGTERM would leave servers and workers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = FULL if full else SHORT
    if path is not None:
        profile.show(path, sizes)
        return
    rows: list[Row] = []
    if files:
        for one in files:
            head, more = read(one)
            rows += [row for row in more if not names or row.benchmark in names]
    else:
        head = machine(sizes)
        written = file or ROOT / "var" / "bench" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}.json"
        for name, more in measured(sizes, names, with_peers=not no_peers):
            click.echo(f"  {name}", err=True)
            rows += more
            write(written, head, rows)
        click.echo(f"  written: {written}", err=True)
    show(head, rows)
    if write_docs:
        for one in pages.write(head, rows):
            click.echo(f"  written: {one}", err=True)


if __name__ == "__main__":
    bench()
