"""What a rebuild knows of jobs, calls and days: plain records, read elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from ledger.days import Day

_REBUILT = "rebuilt/"


def rebuilt_request_id(job_id: str) -> str:
    """What stands for the request id of a job of which the archive tells no request id. A caller
    cannot use it, since it holds a slash.
    """
    return f"{_REBUILT}{job_id}"


def is_rebuilt(request_id: str) -> bool:
    """Whether it stands for a request id that nobody knows."""
    return request_id.startswith(_REBUILT)


@dataclass(frozen=True, slots=True)
class KnownCall:
    """What is known of a request that may have left. ``receipts`` is how many there are,
    ``reserved_on`` the day whose cap it counts for; times are seconds since 1970.
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
    """The live call whose recording a job has collected, and how it was controlled."""

    token: str
    call_id: str
    control: str


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job that has ended, or needs a decision, as ``source`` tells of it."""

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
    #: Files of an export: path, and size in bytes where it is known.
    archived: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class KnownDay:
    """A day as the archive tells of it; ``planned_on`` is the night of its newest generation."""

    day: Day
    planned_on: date | None = None
    completed_by: str | None = None
    listings: int = 0


@dataclass(frozen=True, slots=True)
class OwedEntry:
    """A file that no chain covers yet, and the job that it tells of."""

    job_id: str
    account: str
    path: str
    sha256: str
