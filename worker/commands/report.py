"""``report``: one page about a span of days, for people without a shell."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from archive.store.fsync import replace_text
from tasks.reports.content import collect, default_span
from tasks.reports.page import html, table

from .coverage import chosen_accounts
from .deployment import opened, operator
from .display import print_lines
from .options import DAY, in_order, one_account

_FILE = click.Path(dir_okay=False, path_type=Path)
_MASKED, _SHOWN = "masked", "shown"


@click.command()
@one_account
@click.option("--from", "first", type=DAY, help="The first day. [default: 90 days before the last]")
@click.option("--to", "last", type=DAY, help="The last day. [default: the last that is over]")
@click.option("--out", type=_FILE, required=True, help="The HTML file to write.")
@click.option("--csv", "csv_file", type=_FILE, help="A CSV file of the days to write as well.")
@click.option(
    "--numbers",
    type=click.Choice((_MASKED, _SHOWN)),
    default=_MASKED,
    show_default=True,
    help="The telephone numbers of certified calls; showing them is recorded.",
)
def report(
    account: str | None,
    first: date | None,
    last: date | None,
    out: Path,
    csv_file: Path | None,
    numbers: str,
) -> None:
    """Write a report as one HTML file that needs no server and prints well: a calendar of accounts
    and days, gaps, decisions, alerts, volume, certified calls, the queue, and chain heads.
    """
    in_order(first, last)
    ledger = opened()
    if account is not None:
        chosen_accounts(ledger, account)
    if numbers == _SHOWN:
        ledger.identity.note_reveal(by=operator(), why=f"a report showed numbers: {out}")
    span = default_span(ledger.database.time(), first, last, account)
    found = collect(ledger, *span, account)
    replace_text(out, html(found, numbers_shown=numbers == _SHOWN))
    if csv_file is not None:
        replace_text(csv_file, table(found))
    print_lines(f"written: {one}" for one in (out, csv_file) if one is not None)
