"""``coverage``: the archived days of every account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import click

from config.accounts import Nightly
from config.settings import settings
from ledger.core import states
from ledger.days import Day
from ledger.errors import NoSuchJob
from ledger.ledger import Ledger
from tasks.days import windows

from . import missing_files
from .deployment import opened
from .display import print_json, print_table
from .missing_files import GoneDays
from .options import DAY, as_json, in_order, one_account

COMPLETE = "complete"
NOT_DUE = "not due"
DAMAGED = "damaged"
GAVE_UP = "gave up"
_MISSED = "it is older than catchup_days; export it by hand"


@dataclass(frozen=True)
class DayCoverage:
    """One line of output: the state of a day of an account."""

    account: str
    day: str
    state: str
    listed: int | None = None
    archived: int | None = None
    missing: int | None = None
    generation: int = 0
    job_id: str | None = None
    manifest: str | None = None
    reason: str | None = None


@click.command()
@one_account
@click.option("--from", "first", type=DAY, help="The first day. [default: the first planned]")
@click.option("--to", "last", type=DAY, help="The last day. [default: the last that is due]")
@as_json
def coverage(account: str | None, first: date | None, last: date | None, as_json: bool) -> int:
    """Show which days are archived, one line a day: complete, damaged (files are gone from the
    archive), incomplete, failed, waiting, not due or gave up.

    The status is 1 if a day is not complete, or if the archive is missing. A day that is not due
    counts only with --from or --to.
    """
    in_order(first, last)
    ledger = opened()
    aliases = _aliases(ledger, account)
    gone, problem = missing_files.gone(ledger, aliases, first, last)
    lines = [line for alias in aliases for line in _lines(ledger, alias, first, last, gone)]
    if problem is not None:
        click.echo(f"earwitness: {problem}", err=True)
    if as_json:
        print_json([asdict(line) for line in lines])
    elif lines:
        print_table(("account", "day", "state", "about"), map(_row, lines), one_line=True)
    else:
        click.echo("no account has a nightly export, and no day was ever exported")
    is_span_given = first is not None or last is not None
    return int(
        problem is not None or any(line.state not in _accepted(is_span_given) for line in lines)
    )


def _accepted(is_span_given: bool) -> tuple[str, ...]:
    """Return the states that are no failure; "not due" is one only if a span was given."""
    return (COMPLETE,) if is_span_given else (COMPLETE, NOT_DUE)


def _aliases(ledger: Ledger, account: str | None) -> list[str]:
    """Return the accounts with a nightly export, and those that ever had a day."""
    nightly = {alias for alias in settings().accounts if _nightly(alias) is not None}
    known = sorted(nightly | set(ledger.days.accounts()))
    if account is None:
        return known
    if account not in known and account not in settings().accounts:
        raise click.UsageError(f"no account is called {account!r}; there are {', '.join(known)}.")
    return [account]


def _nightly(alias: str) -> Nightly | None:
    account = settings().accounts.get(alias)
    return None if account is None else account.nights


def _lines(
    ledger: Ledger, alias: str, first: date | None, last: date | None, gone: GoneDays
) -> Iterator[DayCoverage]:
    rows = {row.day: row for row in ledger.days.of(alias, first, last)}
    nightly, newest = _nightly(alias), ledger.days.newest(alias)
    for day in _span(nightly, newest, rows, first, last):
        if day in rows:
            yield _planned(ledger, rows[day], gone.get((alias, day)))
        else:
            yield _unplanned(alias, nightly, newest, day)


def _span(
    nightly: Nightly | None,
    newest: date | None,
    rows: dict[date, Day],
    first: date | None,
    last: date | None,
) -> list[date]:
    """Return the days to show, in order and without gaps."""
    wanted = set(rows)
    if nightly is not None:
        due = windows.newest_due(nightly, datetime.now(UTC))
        wanted |= windows.unplanned_days(due, newest, nightly.catchup_days)
    begins = min(wanted, default=None) if first is None else first
    ends = max(wanted, default=begins) if last is None else last
    if begins is None or ends is None:
        return []
    return [begins + timedelta(days=n) for n in range((ends - begins).days + 1)]


def _planned(ledger: Ledger, row: Day, gone: str | None) -> DayCoverage:
    counts = row.counts or {}
    state, reason = _state_and_reason(ledger, row, gone)
    return DayCoverage(
        row.account,
        row.day.isoformat(),
        state,
        counts.get("listed"),
        counts.get("archived"),
        counts.get("missing"),
        row.generation,
        row.job_id,
        row.manifest,
        reason,
    )


def _state_and_reason(ledger: Ledger, row: Day, gone: str | None) -> tuple[str, str | None]:
    if gone is not None:
        return DAMAGED, f"{gone}; restore it from a copy, or export the day again"
    if row.state in (states.DAY_COMPLETE, states.DAY_DAMAGED):
        # A damaged day that lacks nothing now becomes complete with the next comparison.
        return COMPLETE, None
    if row.state == states.DAY_GAVE_UP:
        return GAVE_UP, _MISSED
    reason = _reason(ledger, row.job_id)
    if row.state == states.DAY_INCOMPLETE:
        # Without counts, no run of the day has reached a manifest.
        return ("incomplete" if row.counts else "failed"), reason
    return "waiting", reason or "due"


def _reason(ledger: Ledger, job_id: str | None) -> str | None:
    try:
        job = ledger.jobs.job(job_id) if job_id else None
    except NoSuchJob:
        return None
    return None if job is None else job.reason or job.state


def _unplanned(alias: str, nightly: Nightly | None, newest: date | None, day: date) -> DayCoverage:
    if nightly is None:
        return DayCoverage(
            alias, day.isoformat(), NOT_DUE, reason="the account has no nightly export"
        )
    newest_due = windows.newest_due(nightly, datetime.now(UTC))
    if day > newest_due:
        return DayCoverage(alias, day.isoformat(), NOT_DUE, reason="not scheduled yet")
    if day not in windows.unplanned_days(newest_due, newest, nightly.catchup_days):
        why = "before the account's first night; export it by hand"
        return DayCoverage(alias, day.isoformat(), NOT_DUE, reason=why)
    if windows.is_given_up(day, newest_due, nightly.catchup_days):
        return DayCoverage(alias, day.isoformat(), GAVE_UP, reason=_MISSED)
    why = "not planned yet: beat's next tick opens it, within five minutes where beat runs"
    return DayCoverage(alias, day.isoformat(), "waiting", reason=why)


def _row(line: DayCoverage) -> tuple[str, str, str, str | None]:
    state = line.state
    if line.listed is not None and state in (COMPLETE, "incomplete"):
        many = f"{line.archived} of {line.listed}"
        state = f"{COMPLETE}, {many}" if state == COMPLETE else f"incomplete {many}"
    return line.account, line.day, state, line.reason or line.manifest
