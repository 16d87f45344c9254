"""Commands about one job: which one is meant, and what is said of it afterwards."""

from __future__ import annotations

import click

from ledger.core.job import Job
from ledger.ledger import Ledger

from .display import plain, print_json
from .redaction import shown

one_job = click.argument("name", metavar="JOB")


def meant(ledger: Ledger, name: str) -> Job:
    """The one job that a name means: its id, its request id, or the id of a task that asked.

    Raises click.ClickException where it means none, or several.
    """
    found = ledger.jobs.named(name)
    if not found:
        raise click.ClickException(
            f"no job has the id or request id {name!r}, and no task of that id asked for one"
        )
    if len(found) > 1:
        choice = ", ".join(f"{job.job_id} ({job.kind} of {job.account})" for job in found)
        raise click.ClickException(f"{name!r} means several jobs; give one's job id: {choice}")
    return found[0]


def say(job: Job, sentence: str, as_json: bool) -> None:
    """Say in a sentence what became of a job; to a program, the job as it is now."""
    if as_json:
        print_json(shown(job))
    else:
        click.echo(plain(sentence))
