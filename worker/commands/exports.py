"""``export``: export days of an account by hand."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

from config.accounts import Account
from config.settings import settings
from ledger.core import states
from ledger.core.job import Job
from ledger.ledger import Ledger
from providers.accounts import RecordingsAccount
from tasks.days import missing_files, windows
from tasks.days.day import day_row, open_day
from tasks.runtime.client import account_of
from tasks.runtime.fields import utc_text
from tasks.runtime.messages import publish_first

from .deployment import opened, operator
from .display import print_json, print_lines, print_table
from .job_opening import followed, open_job, report_jobs, request_id_option, request_of, wait_option
from .options import DAY, account_option, as_json, in_order
from .progress import outcome
from .publisher import announcing
from .recordings import filters_of, filters_option
from .redaction import masked
from .verbosity import is_quiet

#: How long to wait for the sweeper to write chain entries; it may need several rounds.
_CHAIN_SECONDS = 60
_POLL_SECONDS = 0.2


@click.group(invoke_without_command=True)
@click.option("--account", metavar="ALIAS", help="[required]")
@click.option("--from", "first", type=DAY, help="The first day. [required]")
@click.option("--to", "last", type=DAY, help="The last day, included. [required]")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--wait", is_flag=True, help="Wait for the exports to finish, and show their progress."
)
@as_json
@click.pass_context
def export(
    context: click.Context,
    account: str | None,
    first: date | None,
    last: date | None,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Export days of an account, each once. A complete day is left as it is, unless files of it are
    missing from the archive.

    Days are in the account's time zone. With --wait the status is 1 if a day ends incomplete. The
    commands below carry out a single step, or export what filters select.
    """
    if context.invoked_subcommand is not None:
        if any(value is not None for value in (account, first, last)) or dry_run or wait or as_json:
            raise click.UsageError(f"options go after {context.invoked_subcommand}.")
        return 0
    for name, value in (("--account", account), ("--from", first), ("--to", last)):
        if value is None:
            raise click.UsageError(f"Missing option '{name}'.", context)
    assert account is not None
    assert first is not None
    assert last is not None
    return _export_days(account, first, last, dry_run=dry_run, wait=wait, as_json=as_json)


def _export_days(
    account: str, first: date, last: date, *, dry_run: bool, wait: bool, as_json: bool
) -> int:
    in_order(first, last)
    ledger = opened()
    days = _ended_days(account_of(account, RecordingsAccount), first, last)
    if dry_run:
        _print_plan([_intent(ledger, account, day) for day in days], as_json)
        return 0
    jobs = _open_days(account, days, quiet=as_json)
    if wait:
        jobs = _follow(ledger, jobs, quiet=as_json)
    if as_json:
        print_json([job.summary() for job in jobs])
    return 1 if wait and any(job.state != states.DONE for job in jobs) else 0


@export.command("create")
@account_option
@filters_option
@request_id_option
@wait_option
@as_json
def create_command(filters: tuple[str, ...], wait: bool, as_json: bool, **arguments: Any) -> int:
    """Create an export at the provider, without fetching it: the result is its ids there."""
    opened()
    arguments["filters"] = filters_of(filters)
    _, made = request_of("export.create", arguments)
    return report_jobs([open_job(made)], wait=wait, as_json=as_json)


@export.command("retrieve")
@account_option
@click.argument("provider_job_id", metavar="EXPORT")
@request_id_option
@wait_option
@as_json
def retrieve_command(wait: bool, as_json: bool, **arguments: Any) -> int:
    """Fetch the ZIP of an export created at the provider into the archive."""
    opened()
    _, made = request_of("export.retrieve", arguments)
    return report_jobs([open_job(made)], wait=wait, as_json=as_json)


@export.command("run")
@account_option
@click.option("--day", type=DAY, help="A day of the account; give this or filters.")
@filters_option
@request_id_option
@wait_option
@as_json
def run_command(
    day: date | None, filters: tuple[str, ...], wait: bool, as_json: bool, **arguments: Any
) -> int:
    """Export a day, or what filters select, end to end: create, fetch, verify, compare."""
    opened()
    given = filters_of(filters)
    arguments |= {"day": day and day.isoformat(), "filters": given or None}
    _, made = request_of("export.run", arguments)
    return report_jobs([open_job(made)], wait=wait, as_json=as_json)


def _ended_days(account: Account, first: date, last: date) -> list[date]:
    """Return the days of the span. Raises UsageError if the last one is not over."""
    timezone = account.zone
    today = windows.local_day(datetime.now(UTC), timezone)
    if last >= today:
        option, day = ("--from", first) if first >= today else ("--to", last)
        raise click.UsageError(f"{option} {windows.not_over(day, timezone)}.")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _open_days(account: str, days: list[date], *, quiet: bool) -> list[Job]:
    jobs = []
    with announcing():
        for day in days:
            job, number = open_day(account, day, by=operator())
            if number is not None:
                publish_first(job, number)
            jobs.append(job)
            if not (quiet or is_quiet()):
                how = "opened" if number is not None else f"already {job.state}"
                print_lines([f"{day}: job {job.job_id}, {how}"])
    return jobs


def _follow(ledger: Ledger, jobs: list[Job], *, quiet: bool) -> list[Job]:
    """Show progress until all jobs have ended and are under the chain; then show the results."""
    names = [job.job_id for job in jobs]
    ended = followed(ledger, names, quiet=quiet)
    _wait_for_chain(ledger, names)
    if not quiet:
        for job in ended:
            print_lines(_summary(job))
    return ended


def _wait_for_chain(ledger: Ledger, names: list[str]) -> None:
    """Wait until the chain covers the archived files, so that a verification finds them."""
    until = time.monotonic() + _CHAIN_SECONDS
    while ledger.archive_record.unsealed(names):
        if time.monotonic() > until:
            note = "not yet covered by the chain; a worker will finish; see: earwitness status"
            click.echo(note, err=True)
            return
        time.sleep(_POLL_SECONDS)


def _summary(job: Job) -> list[str]:
    """Return the result of a day as lines, with the manifest's whole path."""
    day = job.parameters["day"]
    lines = [line.replace("manifest: ", f"manifest: {_archive()}/", 1) for line in outcome(job)]
    return [f"{day}: {line}" for line in lines] or [f"{day}: {job.state}, {job.reason}"]


def _archive() -> str:
    return settings().archive_url


def _intent(ledger: Ledger, account: str, day: date) -> dict[str, Any]:
    """Return what exporting a day would do."""
    known = ledger.days.of(account, day, day)
    row = known[0] if known else day_row(account, day, gave_up=False)
    gone, _ = missing_files.gone(ledger, [account], day, day)
    act = f"export (generation {row.generation + 1})"
    if (account, day) in gone:
        act = f"{act}: {gone[account, day]}"
    elif row.state in (states.DAY_COMPLETE, states.DAY_RUNNING):
        act = f"nothing: it is {row.state} (job {row.job_id})"
    return {
        "day": day.isoformat(),
        "start": utc_text(datetime.fromtimestamp(row.window_start, UTC)),
        "end": utc_text(datetime.fromtimestamp(row.window_end, UTC)),
        "filters": masked(row.filters),
        "would": act,
    }


def _print_plan(intents: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(intents)
        return
    print_table(
        ("day", "from", "until", "filters", "would"),
        [tuple(intent.values()) for intent in intents],
    )
    click.echo("nothing was done (--dry-run)")
