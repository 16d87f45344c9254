"""``resolve``: record a person's decision about a certified call with an unknown outcome."""

from __future__ import annotations

import click

from ledger.core.job import Job, iso
from tasks.jobs import tasks as jobs

from .deployment import opened
from .job_argument import one_job, print_outcome, resolve_job
from .options import as_json

#: So many calls are named; the rest are counted.
_MOST_NAMED = 10


class Words(click.ParamType[str]):
    """A text of limited length that is kept with a decision."""

    name = "text"

    def __init__(self, max_length: int) -> None:
        self._most = max_length

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Strip the text and check its length."""
        words = str(value).strip()
        if not 0 < len(words) <= self._most:
            self.fail(f"it needs 1 to {self._most} characters.", param, ctx)
        return words


@click.command()
@one_job
@click.option("--placed", is_flag=True, help="The provider's panel shows the call: it ends done.")
@click.option("--not-placed", is_flag=True, help="The panel does not show it: it ends failed.")
@click.option("--by", metavar="WHO", type=Words(200), required=True, help="Who decides.")
@click.option("--note", type=Words(1000), required=True, help="Why, for history and receipt.")
@as_json
def resolve(name: str, placed: bool, not_placed: bool, by: str, note: str, as_json: bool) -> None:
    """Decide what became of a certified call that needs a decision.

    Look for the call in the provider's panel first. Nothing is sent to the provider. The caller
    gets the decision as the job's outcome, and the job's history and a further receipt record it.
    """
    if placed == not_placed:
        raise click.UsageError("Give either --placed or --not-placed.")
    job = jobs.resolve(resolve_job(opened(), name), placed=placed, by=by, note=note)
    print_outcome(job, f"job {job.job_id} is {job.state}: {job.reason}", as_json)


def decision_commands(job: Job) -> list[str]:
    """Return the two commands that can end a job that needs a decision."""
    return [_command(job.job_id, outcome) for outcome in ("--placed", "--not-placed")]


def undecided_lines(waiting: list[tuple[Job, float]]) -> list[str]:
    """Return lines about the calls that need a decision, none if there are none."""
    if not waiting:
        return []
    lines = [f"NEEDS A DECISION: {len(waiting)}; no program tries it again"]
    lines += [
        f"  {job.job_id} ({job.kind} of {job.account}, {job.request_id}) since {iso(since)}"
        for job, since in waiting[:_MOST_NAMED]
    ]
    if len(waiting) > _MOST_NAMED:
        more = len(waiting) - _MOST_NAMED
        lines.append(f"  and {more} more: python -m worker status --state needs_decision")
    return [
        *lines,
        "  see: python -m worker show JOB; look the call up in the provider's panel, then:",
        f"  {_command('JOB', '--placed|--not-placed')}",
        "",
    ]


def _command(job: str, outcome: str) -> str:
    return f"python -m worker resolve {job} {outcome} --by WHO --note WHY"
