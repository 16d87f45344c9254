"""All about one job: what it was asked for, what became of it, its parts, its history."""

from __future__ import annotations

import json
from typing import Any

from ledger.job import Job
from ledger.ledger import Ledger

from ..follow import transfer_line
from .display import print_lines, print_table
from .personal import masked


def whole(ledger: Ledger, job: Job, *, reveal: bool) -> dict[str, Any]:
    """The job with its parameters, error, transfer, parts and history; personal data masked unless
    ``reveal``.
    """
    return {
        **job.shown(),
        "parameters": job.parameters if reveal else masked(job.parameters),
        "error": job.error,
        "transfer": job.transfer,
        "parent_id": job.parent_id,
        "parts": [
            {**part.shown(), "error": part.error, "transfer": part.transfer}
            for part in ledger.jobs.parts(job.job_id)
        ],
        "history": ledger.jobs.history(job.job_id),
    }


def print_job(content: dict[str, Any]) -> None:
    """Print what ``whole`` found, for people."""
    apart = ("parts", "history", "transfer", "error")
    fields = [
        (name, _text(value))
        for name, value in content.items()
        if name not in apart and value is not None
    ]
    if content["error"]:
        fields.append(("error", content["error"]["type"]))
    if content["transfer"]:
        fields.append(("transfer", transfer_line(content["transfer"])))
    print_table(("", "value"), fields, head=False)
    if content["parts"]:
        print_lines(["", "parts"])
        print_table(("job", "state", "reason", "transfer"), map(_part, content["parts"]))
    print_lines(["", "history"])
    print_table(
        ("at", "from", "to", "by", "why"),
        [(one["at"], one["from"], one["to"], one["by"], one["why"]) for one in content["history"]],
    )


def _part(part: dict[str, Any]) -> tuple[Any, ...]:
    transfer = transfer_line(part["transfer"]) if part["transfer"] else None
    return part["job_id"], part["state"], part["reason"], transfer


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
