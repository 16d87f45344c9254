"""Lines about what needs a person: a quarantined ledger, and calls that need a decision."""

from __future__ import annotations

from ledger.core.job import Job, iso
from ledger.quarantine import MEANING, WAY_OUT

#: So many calls are named; the rest are counted.
_MOST_NAMED = 10


def quarantine_lines() -> list[str]:
    """Return lines that explain the quarantine and how to end it."""
    return [f"IN QUARANTINE: {MEANING}", f"  {WAY_OUT}", ""]


def decision_commands(job: Job) -> list[str]:
    """Return the two commands that can end a job that needs a decision."""
    return [_command(job.job_id, outcome) for outcome in ("--placed", "--not-placed")]


def undecided_lines(waiting: list[tuple[Job, float]]) -> list[str]:
    """Return lines about the calls that need a decision, none if there are none."""
    if not waiting:
        return []
    lines = [f"NEEDS A DECISION: {len(waiting)}; certified calls are never retried"]
    lines += [
        f"  {job.job_id} ({job.kind} of {job.account}, {job.request_id}) since {iso(since)}"
        for job, since in waiting[:_MOST_NAMED]
    ]
    if len(waiting) > _MOST_NAMED:
        more = len(waiting) - _MOST_NAMED
        lines.append(f"  and {more} more: earwitness status --state needs_decision")
    return [
        *lines,
        "  see: earwitness show JOB; look the call up in the provider's panel, then:",
        f"  {_command('JOB', '--placed|--not-placed')}",
        "",
    ]


def _command(job: str, outcome: str) -> str:
    return f"earwitness resolve {job} {outcome} --by WHO --note WHY"
