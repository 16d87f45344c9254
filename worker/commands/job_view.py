"""The view of one job: its parameters, outcome, parts and history."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich.filesize import decimal

from config.masking import HIDDEN, mask_foreign
from ledger.core import states
from ledger.core.job import Job
from ledger.ledger import Ledger

from .display import print_lines, print_table
from .notices import decision_commands
from .redaction import last_three, masked, shown


def job_content(ledger: Ledger, job: Job, *, reveal: bool) -> dict[str, Any]:
    """Return the job with its parameters, error, transfer, parts, notifications and history.

    A certified call comes with what is known of it, and with the commands that decide about it.
    Personal data is masked unless ``reveal`` is set.
    """
    return {
        **shown(job, reveal=reveal),
        "parameters": job.parameters if reveal else masked(job.parameters),
        "error": job.error,
        "transfer": job.transfer,
        "parent_id": job.parent_id,
        "parts": [
            {**shown(part, reveal=reveal), "error": part.error, "transfer": part.transfer}
            for part in ledger.jobs.parts(job.job_id)
        ],
        "call": _call(ledger, job, reveal=reveal),
        "notifications": [
            {**asdict(one), "reason": mask_foreign(one.reason) if one.reason else None}
            for one in ledger.notifications.of_job(job.job_id)
        ],
        "decide": decision_commands(job) if job.state == states.NEEDS_DECISION else [],
        "history": ledger.jobs.history(job.job_id),
    }


def print_job(content: dict[str, Any]) -> None:
    """Print the result of ``job_content`` for people."""
    apart = ("parts", "history", "transfer", "error", "call", "notifications", "decide")
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
    if content["call"]:
        print_lines(["", "the call"])
        print_table(("", "value"), _call_fields(content["call"]), head=False)
    if content["decide"]:
        print_lines(["", "it needs a decision: look in the provider's panel, then run one of"])
        print_lines(f"  {command}" for command in content["decide"])
    if content["parts"]:
        print_lines(["", "parts"])
        print_table(("job", "state", "reason", "transfer"), map(_part, content["parts"]))
    if content["notifications"]:
        print_lines(["", "notifications"])
        print_table(
            ("task", "queue", "state", "tries", "reason"),
            [tuple(one.values()) for one in content["notifications"]],
        )
    print_lines(["", "history"])
    print_table(
        ("at", "from", "to", "by", "why"),
        [(one["at"], one["from"], one["to"], one["by"], one["why"]) for one in content["history"]],
    )


def _call(ledger: Ledger, job: Job, *, reveal: bool) -> dict[str, Any] | None:
    """Return what is known of a certified call; hide its raw answer, which may contain numbers."""
    call = ledger.calls.of_job(job.job_id)
    if call is None or reveal:
        return call
    phone, message = call["platform_phone"], call["error_message"]
    return {
        **call,
        "error_message": message and mask_foreign(message),
        "answer": HIDDEN if call["answer"] else "",
        "platform_phone": last_three(phone) if phone else None,
    }


def _call_fields(call: dict[str, Any]) -> list[tuple[str, str]]:
    fields = [("outcome", call["outcome"] or "nothing was sent")]
    fields += [(name, _text(value)) for name, value in call.items() if name != "outcome" and value]
    return fields


def _part(part: dict[str, Any]) -> tuple[Any, ...]:
    transfer = transfer_line(part["transfer"]) if part["transfer"] else None
    return part["job_id"], part["state"], part["reason"], transfer


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def transfer_line(transfer: dict[str, Any]) -> str:
    """Return a transfer's bytes, rate and remaining time as text."""
    about = "" if transfer["exact"] else "about "
    whole = f" of {about}{decimal(transfer['total'])}" if transfer["total"] else ""
    line = f"{decimal(transfer['bytes'])}{whole}, {decimal(transfer['rate'])}/s"
    left = transfer["seconds_left"]
    return line if left is None else f"{line}, {left} s left"
