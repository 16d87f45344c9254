"""``status`` and ``show``: the jobs as the ledger has them."""

from __future__ import annotations

from typing import Any

import click

from ledger.core import states
from ledger.core.job import Job, iso
from ledger.ledger import Ledger

from .deployment import opened, operator
from .display import print_json, print_lines, print_table
from .job_argument import one_job, resolve_job
from .job_view import job_content, print_job, transfer_line
from .notices import quarantine_lines, undecided_lines
from .options import as_json, one_account
from .pending import described
from .redaction import shown

_MOST_LISTED = 1_000_000


@click.command()
@one_account
@click.option("--state", type=click.Choice(states.ALL), help="Only jobs in this state.")
@click.option("--kind", metavar="KIND", help="Only jobs of this kind, such as export.run.")
@click.option("--limit", type=click.IntRange(1, _MOST_LISTED), default=50, show_default=True)
@as_json
def status(
    account: str | None, state: str | None, kind: str | None, limit: int, as_json: bool
) -> None:
    """Show calls that need a decision, the jobs that changed last, what is still pending for ended
    jobs, and the number of open alerts.
    """
    ledger = opened()
    found = ledger.jobs.jobs(account=account, state=state, kind=kind, limit=limit)
    if as_json:
        print_json([shown(job) for job in found])
        return
    print_lines(quarantine_lines() if ledger.identity.quarantined() else [])
    print_lines(undecided_lines(ledger.jobs.undecided()))
    print_table(("job", "kind", "account", "state", "changed", "about"), map(_row, found))
    print_lines(_totals(ledger))


@click.command()
@one_job
@click.option("--reveal", is_flag=True, help="Show personal data unmasked; this is recorded.")
@as_json
def show(name: str, reveal: bool, as_json: bool) -> None:
    """Show everything about one job.

    JOB is the job's id, its request id, or the id of a task that requested it.
    """
    ledger = opened()
    job = resolve_job(ledger, name)
    if reveal:
        ledger.operator_actions.note_reveal(job.job_id, by=operator())
    content = job_content(ledger, job, reveal=reveal)
    if as_json:
        print_json(content)
    else:
        print_job(content)


def _row(job: Job) -> tuple[Any, ...]:
    about = job.request_id if job.parent_id is None else f"part of {job.parent_id}"
    if job.current_reason:
        about = f"{about}: {job.current_reason}"
    if job.transfer is not None and job.state == states.RUNNING:
        about = f"{about}: {transfer_line(job.transfer)}"
    if job.next_attempt_at is not None and job.state == states.WAITING:
        about = f"{about}; next at {iso(job.next_attempt_at)}"
    return job.job_id, job.kind, job.account, job.state, iso(job.updated_at), about


def _totals(ledger: Ledger) -> list[str]:
    counts = ledger.jobs.counts()
    lines = ["", "all jobs: " + (", ".join(f"{counts[s]} {s}" for s in counts) or "none")]
    for waiting in ledger.outbox.waiting():
        why = f", latest reason: {waiting['reason']}" if waiting["reason"] else ""
        lines.append(f"pending: {described(waiting)} since {iso(waiting['oldest'])}{why}")
    given_up = ledger.notifications.given_up()
    if given_up:
        lines.append(
            f"given up: {given_up['count']} notify, the last at {given_up['last']}, "
            f"reason: {given_up['reason']}"
        )
    damaged = ledger.archive_record.damaged()
    if damaged:
        lines.append(f"damaged days: {len(damaged)}; see: earwitness coverage")
    alerts = ledger.alerts.all_open()
    if alerts:
        since = iso(alerts[0]["opened_at"])
        lines.append(f"open alerts: {len(alerts)} since {since}; see: earwitness alerts")
    return lines
