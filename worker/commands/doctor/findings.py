"""What ``doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]

#: The ledger's identity where there is one that cannot be read now: nothing is compared with it.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One line: how bad it is, what it is about, what it means, and what to do."""

    level: Level
    subject: str
    meaning: str
    advice: str | None = None


def ok(subject: str, meaning: str) -> Finding:
    """As it should be, or not to be known."""
    return Finding("ok", subject, meaning)


def warning(subject: str, meaning: str, advice: str) -> Finding:
    """It works, but not as safely as it could."""
    return Finding("warning", subject, meaning, advice)


def error(subject: str, meaning: str, advice: str) -> Finding:
    """It does not work."""
    return Finding("error", subject, meaning, advice)
