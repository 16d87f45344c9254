"""The findings of ``doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]

#: Stands for the identity of a ledger that cannot be read now; nothing is compared with it.
UNKNOWN = "unknown"

#: The advice where a check fails because the ledger does.
CHECK_LEDGER = "check EARWITNESS_LEDGER_URL and its server, then run doctor again"


@dataclass(frozen=True)
class Finding:
    """One line of output: the level, the subject, the meaning, and the advice."""

    level: Level
    subject: str
    meaning: str
    advice: str | None = None


def ok(subject: str, meaning: str) -> Finding:
    """Return a finding without a fault, or one that cannot be judged."""
    return Finding("ok", subject, meaning)


def warning(subject: str, meaning: str, advice: str) -> Finding:
    """Return a finding that works, but not as safely as it could."""
    return Finding("warning", subject, meaning, advice)


def error(subject: str, meaning: str, advice: str) -> Finding:
    """Return a finding that does not work."""
    return Finding("error", subject, meaning, advice)
