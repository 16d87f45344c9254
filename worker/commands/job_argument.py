"""The JOB argument of commands, and the sentence that they print at the end."""

from __future__ import annotations

import re

import click

from ledger.core.job import Job
from ledger.ledger import Ledger

from .display import plain, print_json
from .redaction import shown

#: The beginning of a UUID: fewer characters would mean too many jobs.
_PREFIX = re.compile(r"[0-9a-f]{4}[0-9a-f-]{0,32}")
_MOST_NAMED = 10

one_job = click.argument("name", metavar="JOB")


def resolve_job(ledger: Ledger, name: str) -> Job:
    """Return the job with this id or request id, or the job that the task of this id requested. The
    first characters of a job's or a task's id, as Flower shows them, will do.

    Raises click.ClickException if there is none, or if there are several.
    """
    found = ledger.jobs.named(name)
    if not found and _PREFIX.fullmatch(name.lower()):
        found = ledger.jobs.beginning_with(name.lower(), limit=_MOST_NAMED + 1)
    if not found:
        raise click.ClickException(
            f"no job has the id or request id {name!r}, and no task of that id requested one"
        )
    if len(found) > 1:
        choice = ", ".join(
            f"{job.job_id} ({job.kind} of {job.account})" for job in found[:_MOST_NAMED]
        )
        more = " and more" if len(found) > _MOST_NAMED else ""
        raise click.ClickException(
            f"{name!r} matches several jobs; give the job id of one: {choice}{more}"
        )
    return found[0]


def print_outcome(job: Job, sentence: str, as_json: bool) -> None:
    """Print a sentence for people, or the job as JSON for programs."""
    if as_json:
        print_json(shown(job))
    else:
        click.echo(plain(sentence))
