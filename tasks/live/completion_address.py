"""The address to which the end of a recording is notified."""

from __future__ import annotations

from config.settings import settings
from ledger.recording_instructions import Instruction
from tasks.runtime.context import account


def completion_address(instruction: Instruction) -> str | None:
    """Return the address to which the end of a recording is notified.

    This is ours, under HOOKS_URL, if the recording is collected; otherwise the caller's own, or
    None if none was given.
    """
    if instruction.collect_job_id is None or settings().hooks_url is None:
        return instruction.parameters.get("finished_url")
    base = str(settings().hooks_url).rstrip("/")
    provider = account(instruction.account).provider
    return f"{base}/{provider}/{instruction.account}/completed/{instruction.token}"
