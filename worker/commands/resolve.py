"""``resolve``: record a person's decision about a certified call with an unknown outcome."""

from __future__ import annotations

import click

from tasks.jobs import tasks as jobs

from .deployment import opened
from .job_argument import one_job, print_outcome, resolve_job
from .options import Words, as_json
from .publisher import announcing


@click.command()
@one_job
@click.option(
    "--placed", is_flag=True, help="The provider's panel shows the call: the job ends as done."
)
@click.option(
    "--not-placed", is_flag=True, help="The panel does not show it: the job ends as failed."
)
@click.option("--by", metavar="WHO", type=Words(200), required=True, help="Who decides.")
@click.option(
    "--note", type=Words(1000), required=True, help="Why; kept in the history and the receipt."
)
@as_json
def resolve(name: str, placed: bool, not_placed: bool, by: str, note: str, as_json: bool) -> None:
    """Record whether a certified call that needs a decision was placed.

    Look for the call in the provider's panel first. Nothing is sent to the provider. The caller
    gets the decision as the job's outcome; the job's history and another receipt record it.
    """
    if placed == not_placed:
        raise click.UsageError("Give either --placed or --not-placed.")
    waiting = resolve_job(opened(), name)
    with announcing():
        job = jobs.resolve(waiting, placed=placed, by=by, note=note)
    print_outcome(job, f"job {job.job_id} is {job.state}: {job.reason}", as_json)
