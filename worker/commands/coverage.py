"""``coverage``: the archived days of every account."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

import click

from config.settings import settings
from ledger.ledger import Ledger
from tasks.days import missing_files
from tasks.days.coverage import (
    COMPLETE,
    INCOMPLETE,
    NOT_DUE,
    DayCoverage,
    coverage_of,
    covered_accounts,
)

from .deployment import opened
from .display import print_json, print_table
from .options import DAY, as_json, in_order, one_account


@click.command()
@one_account
@click.option("--from", "first", type=DAY, help="The first day. [default: the first planned]")
@click.option("--to", "last", type=DAY, help="The last day. [default: the last that is due]")
@as_json
def coverage(account: str | None, first: date | None, last: date | None, as_json: bool) -> int:
    """Show which days are archived, one line a day: complete, damaged (files are missing from the
    archive), incomplete, failed, waiting, not due or gave up.

    The status is 1 if a day is not complete, or if the archive is missing. A day that is not due
    yet counts only with --from or --to.
    """
    in_order(first, last)
    ledger = opened()
    aliases = chosen_accounts(ledger, account)
    gone, problem = missing_files.gone(ledger, aliases, first, last)
    lines = [line for alias in aliases for line in coverage_of(ledger, alias, first, last, gone)]
    if problem is not None:
        click.echo(f"earwitness: {problem}", err=True)
    if as_json:
        print_json([asdict(line) for line in lines])
    elif lines:
        print_table(("account", "day", "state", "about"), map(_row, lines), one_line=True)
    else:
        click.echo("no account has a nightly export, and no day has ever been exported")
    is_span_given = first is not None or last is not None
    return int(
        problem is not None or any(line.state not in _accepted(is_span_given) for line in lines)
    )


def chosen_accounts(ledger: Ledger, account: str | None) -> list[str]:
    """Return the account that was named, or every account with days. Raises UsageError for an
    unknown one.
    """
    known = covered_accounts(ledger)
    if account is None:
        return known
    if account not in known and account not in settings().accounts:
        raise click.UsageError(
            f"no account is called {account!r}; the accounts are {', '.join(known)}."
        )
    return [account]


def _accepted(is_span_given: bool) -> tuple[str, ...]:
    """Return the states that are no failure; "not due" is one only if a span was given."""
    return (COMPLETE,) if is_span_given else (COMPLETE, NOT_DUE)


def _row(line: DayCoverage) -> tuple[str, str, str, str | None]:
    state = line.state
    if line.listed is not None and state in (COMPLETE, INCOMPLETE):
        many = f"{line.archived} of {line.listed}"
        state = f"{COMPLETE}, {many}" if state == COMPLETE else f"incomplete {many}"
    return line.account, line.day, state, line.reason or line.manifest
