"""The OzML documents that tell an Ozeki server to record, and where they have the end told."""

from __future__ import annotations

from typing import Any, cast

from config.settings import settings
from ledger.recording_instructions import Instruction
from providers.ozeki import ozml
from providers.ozeki.client import Format
from providers.ozeki.ozml import Control

#: The arguments of a start that only a document can carry.
OF_DOCUMENTS = (
    "announcement",
    "max_seconds",
    "silence_seconds",
    "finish_digits",
    "hang_up_after_seconds",
)


def document(control: str, parameters: dict[str, Any], finished_url: str | None) -> bytes:
    """The document of a start's parameters. Raises ozml.BadParameter."""
    return ozml.recording(
        cast(Control, control),
        call_id=parameters["call_id"] if control == "ozml_third_party" else None,
        format=cast(Format, parameters["format"]),
        finished_url=finished_url,
        **{name: parameters.get(name) for name in OF_DOCUMENTS},
    )


def told_to(instruction: Instruction) -> str | None:
    """The address to which the end of a recording is told: ours, under HOOKS_URL, where it is
    collected; else the caller's own, if one was given.
    """
    if instruction.collect_job_id is None or settings().hooks_url is None:
        return instruction.parameters.get("finished_url")
    base = str(settings().hooks_url).rstrip("/")
    return f"{base}/ozeki/{instruction.account}/completed/{instruction.token}"
