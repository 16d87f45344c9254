"""Opening jobs from commands, and following them to their end."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from ledger.core import states
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.ledger import Ledger
from tasks import registry
from tasks.runtime.arguments import parse
from tasks.runtime.context import ledger
from tasks.runtime.kinds import KINDS
from tasks.runtime.messages import publish_first

from .deployment import operator
from .display import console, plain, print_json
from .notices import decision_commands
from .progress import follow
from .publisher import announcing
from .redaction import shown
from .verbosity import is_quiet

wait_option = click.option(
    "--wait", is_flag=True, help="Wait for the job to finish, and show its progress."
)
request_id_option = click.option(
    "--request-id", help="Your own id; repeating it joins the same job."
)


def request_of(kind: str, arguments: Mapping[str, Any]) -> tuple[Any, Request | Any]:
    """Return the validated arguments of a task, and the request that they make. Arguments that are
    None were not given.

    Raises InvalidArgument, which names the wrong argument; no job was opened.
    """
    registry.load()
    found = KINDS[kind]
    given = {name: value for name, value in arguments.items() if value is not None}
    asked = parse(found.arguments, given)
    assert found.request is not None
    return asked, found.request(asked, f"command-{uuid.uuid4()}")


def open_job(made: Request | Any) -> tuple[Job, bool]:
    """Open the job of a request, or join the one that it opened before; return the job, and whether
    it was opened now.

    The job is in the ledger then, and any worker carries it out; Redis may be away. Raises
    LedgerError.
    """
    with announcing():
        if isinstance(made, Request):
            # No task waits for an answer, so none is stored.
            job, number = ledger().opening.open(replace(made, task_id=None), by=operator())
        else:
            job, number = made(timed=lambda request: request)
        if number is not None:
            publish_first(job, number)
    return job, number is not None


def report_jobs(opened: Sequence[tuple[Job, bool]], *, wait: bool, as_json: bool) -> int:
    """Print opened jobs; with ``wait``, follow them to their ends first. Return the exit status."""
    if not as_json and not is_quiet():
        for job, is_new in opened:
            how = "opened" if is_new else f"already {job.state}"
            click.echo(plain(f"{job.kind} {job.account}: job {job.job_id}, {how}"))
    jobs = [job for job, _ in opened]
    if wait:
        jobs = followed(ledger(), [job.job_id for job in jobs], quiet=as_json)
    if as_json:
        print_json([shown(job) for job in jobs] if len(jobs) != 1 else shown(jobs[0]))
    elif wait:
        for job in jobs:
            for line in end_lines(job):
                click.echo(plain(line))
    return int(wait and any(job.state != states.DONE for job in jobs))


def followed(ledger: Ledger, names: Sequence[str], *, quiet: bool) -> list[Job]:
    """Show progress until all jobs have ended; return them. An interrupt ends the command alone."""
    try:
        return follow(ledger, list(dict.fromkeys(names)), console(stderr=quiet, quiet=is_quiet()))
    except KeyboardInterrupt:
        click.echo("stopped following; the jobs continue: earwitness status", err=True)
        raise


def end_lines(job: Job) -> list[str]:
    """Return the end of a job as lines: its state and reason, its result, what to do next."""
    reason = f": {job.reason}" if job.reason else ""
    lines = [f"{job.kind} {job.account}: {job.state}{reason}"]
    result = shown(job)["result"] or {}
    lines += [f"  {name}: {value}" for name, value in result.items() if value is not None]
    if job.state == states.NEEDS_DECISION:
        lines += ["look in the provider's panel, then run one of", *decision_commands(job)]
    return lines
