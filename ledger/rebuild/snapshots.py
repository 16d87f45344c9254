"""The records from which a rebuild fills a ledger: jobs, calls and days, as other modules read
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from ledger.days import Day

_REBUILT = "rebuilt/"


def rebuilt_request_id(job_id: str) -> str:
    """Return a substitute for the request id of a job whose request id the archive does not name. A
    caller cannot use it, since it holds a slash.
    """
    return f"{_REBUILT}{job_id}"


def is_rebuilt(request_id: str) -> bool:
    """Return whether a request id is such a substitute."""
    return request_id.startswith(_REBUILT)


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A request that may have left. ``receipts`` is the number of its receipts, ``reserved_on`` the
    day whose quota it counts for; times are seconds since 1970.
    """

    sent_at: float | None
    answered_at: float | None
    outcome: str
    http_status: int | None
    answer: bytes
    platform_phone: str | None
    error_message: str | None
    receipts: int
    reserved_on: date | None


@dataclass(frozen=True, slots=True)
class KnownRecording:
    """The live call whose recording a job has collected, and how the call was controlled."""

    token: str
    call_id: str
    control: str


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job that has ended, or needs a decision, as ``source`` reports it."""

    job_id: str
    kind: str
    account: str
    request_id: str
    parameters: dict[str, Any]
    queue: str
    state: str
    created_at: float
    updated_at: float
    source: str
    reason: str | None = None
    error: dict[str, str] | None = None
    result: dict[str, Any] | None = None
    call: KnownCall | None = None
    recording: KnownRecording | None = None
    #: The files of an export: path, and size in bytes if known.
    archived: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class KnownDay:
    """A day as the archive reports it; ``planned_on`` is the night of its newest generation."""

    day: Day
    planned_on: date | None = None
    completed_by: str | None = None
    listings: int = 0


@dataclass(frozen=True, slots=True)
class OwedEntry:
    """A file that no chain covers yet, and the job that the file belongs to."""

    job_id: str
    account: str
    path: str
    sha256: str
