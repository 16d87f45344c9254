"""``archive``: compare the archive with the ledger, or accept another archive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from tasks.archive_watch import replacing, watch
from tasks.archive_watch.watch import Comparison

from .deployment import opened
from .display import print_json, print_lines
from .options import Words, as_json

#: So many files and days are named; the rest are counted.
_MOST_NAMED = 20


@click.command()
@click.option("--accept", is_flag=True, help="Keep this archive although files are missing.")
@click.option("--begin", is_flag=True, help="Start a new archive in an empty place.")
@click.option("--by", metavar="WHO", type=Words(200), help="Who decides.")
@click.option("--note", type=Words(1000), help="Why; kept in the ledger's history.")
@as_json
def archive(accept: bool, begin: bool, by: str | None, note: str | None, as_json: bool) -> int:
    """Compare the archive with the ledger: it must be the ledger's archive, as new as the ledger,
    and hold every file that the ledger has archived. File contents are not read.

    A day whose files are missing becomes damaged, and complete again once they are back. Missing
    receipts are written again. The status is 1 if anything is missing.

    --accept adopts an older copy as the ledger's archive, --begin an empty place: files that it
    lacks are lost, and their days are shown as damaged. --by and --note are kept in the ledger's
    history.
    """
    if accept and begin:
        raise click.UsageError("Give either --accept or --begin.")
    if (accept or begin) and (by is None or note is None):
        raise click.UsageError("Give --by and --note: who decides, and why.")
    opened()
    if accept:
        done = replacing.accept(by=str(by), note=str(note))
    elif begin:
        done = replacing.begin(by=str(by), note=str(note))
    else:
        done = watch.compare()
    if as_json:
        print_json(asdict(done))
    else:
        print_lines(_lines(done))
    lacking = watch.damaged_days() or done.gone
    return int(bool(lacking) and not (accept or begin))


def _lines(done: Comparison) -> Iterator[str]:
    for account, days in sorted(done.mended.items()):
        yield f"{account}: complete again: {_named(days)}"
    for account, days in sorted(done.damaged.items()):
        yield f"{account}: files are missing, which damages these days: {_named(days)}"
        yield (
            f"  to fetch them again: earwitness export --account {account} "
            f"--from {days[0]} --to {days[-1]}"
        )
    for account, paths in sorted(done.gone.items()):
        missing = "1 other file is" if len(paths) == 1 else f"{len(paths)} other files are"
        yield f"{account}: {missing} missing:"
        yield from (f"  {path}" for path in paths[:_MOST_NAMED])
        if len(paths) > _MOST_NAMED:
            yield f"  and {len(paths) - _MOST_NAMED} more: --json"
    if done.receipts:
        receipts = f"{done.receipts} receipt{'s' * (done.receipts != 1)}"
        yield f"{receipts} will be written again by a worker"
    left = watch.damaged_days()
    if left:
        yield f"damaged: {_named(left)}; see: earwitness coverage"
    elif not done.gone:
        yield "the archive holds everything that the ledger has archived"


def _named(days: list[str]) -> str:
    named = ", ".join(days[:_MOST_NAMED])
    return named if len(days) <= _MOST_NAMED else f"{named} and {len(days) - _MOST_NAMED} more"
