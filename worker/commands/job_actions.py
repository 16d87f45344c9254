"""``retry`` and ``cancel``: what people decide about a job."""

from __future__ import annotations

import click

from tasks.jobs import tasks as jobs

from .deployment import opened, operator
from .job_argument import one_job, print_outcome, resolve_job
from .options import as_json
from .publisher import announcing


@click.command()
@one_job
@click.option("--by", metavar="WHO", help="Who asks for it. [default: your user name]")
@click.option("--note", default="retried by hand", help="Why; kept in the job's history.")
@as_json
def retry(name: str, by: str | None, note: str, as_json: bool) -> None:
    """Repeat a failed or cancelled job as a new job.

    A job that was done can be repeated if its files are missing from the archive. A day's export
    becomes the day's next generation.
    """
    ledger = opened()
    job = resolve_job(ledger, name)
    with announcing():
        again = jobs.retry(job, by=by or operator(), note=note)
    print_outcome(again, f"job {again.job_id} does the work of {job.job_id} again", as_json)


@click.command()
@one_job
@as_json
def cancel(name: str, as_json: bool) -> None:
    """Cancel a job; an export is cancelled with its parts.

    A waiting job ends at once, a running one at its worker's next heartbeat.
    """
    ledger = opened()
    job = ledger.operator_actions.cancel(resolve_job(ledger, name).job_id, by=operator())
    ending = "is cancelled" if job.ended else "is running, and ends at its worker's next heartbeat"
    print_outcome(job, f"job {job.job_id} {ending}", as_json)
