"""A job as the ledger has it."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, func

from . import states
from .schema import jobs

#: Version of the fingerprint's definition: SHA-256 of the canonical parameters as sorted JSON.
FINGERPRINT_VERSION = 1


@lru_cache(maxsize=1024)
def job_id(account: str, task: str, request_id: str) -> str:
    """Return the id of a job, which a caller can compute before any worker runs.

    The id is the UUIDv5 in the URL name space of ``earwitness:<account>:<task name>:<request id>``.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"earwitness:{account}:{task}:{request_id}"))


def fingerprint(parameters: dict[str, Any]) -> str:
    """Return the SHA-256 over the validated, canonical parameters of a request."""
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


#: The key of the job's day: in its parameters, or in the work of a part.
DAY = "day"
#: The key in a job's work for its first due time, if its sender asked for a later time.
DUE = "due_at"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table of jobs, as it was read. Times are seconds since 1970."""

    job_id: str
    kind: str
    account: str
    request_id: str
    task_id: str
    parameters: dict[str, Any]
    fingerprint: str
    state: str
    reason: str | None
    error: dict[str, str] | None
    result: dict[str, Any] | None
    work: dict[str, Any]
    transfer: dict[str, Any] | None
    attempts: int
    takeovers: int
    queue: str
    next_attempt_at: float | None
    not_after: float | None
    cancel_requested: bool
    parent_id: str | None
    open_parts: int
    created_at: float
    updated_at: float

    @classmethod
    def of(cls, row: Row[Any]) -> Job:
        """Return the job in a row that holds every column of the table."""
        return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})

    @property
    def ended(self) -> bool:
        """Whether callers are answered with the job's outcome."""
        return self.state in states.ENDED

    @property
    def day(self) -> str | None:
        """The day that the job or the job whose part it is works on, as YYYY-MM-DD; None if there
        is none.
        """
        day: str | None = self.parameters.get(DAY) or self.work.get(DAY)
        return day

    @property
    def began_at(self) -> float:
        """The time from which the job's lateness counts: its opening, or the later time that its
        sender asked for.
        """
        return float(self.work.get(DUE, self.created_at))

    @property
    def current_reason(self) -> str | None:
        """Why the job waits or how it ended; None while a worker runs it."""
        return None if self.state in (states.RUNNING, states.SENDING) else self.reason

    def summary(self) -> dict[str, Any]:
        """Return the fields of the job that people and programs see (docs/tasks.md)."""
        return {
            "job_id": self.job_id,
            "kind": self.kind,
            "account": self.account,
            "request_id": self.request_id,
            "state": self.state,
            "reason": self.current_reason,
            "attempts": self.attempts,
            "next_attempt_at": iso(self.next_attempt_at),
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "result": self.result,
        }


#: `Job.day`, read without the rest of the parameters and of the work.
DAY_COLUMN = func.coalesce(jobs.c.parameters[DAY].as_string(), jobs.c.work[DAY].as_string()).label(
    "day"
)

#: The columns that ``Job.of`` needs.
COLUMNS = [jobs.c[field.name] for field in fields(Job)]


def iso(seconds: float | None) -> str | None:
    """Return seconds since 1970 as ISO 8601 UTC, and None as None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
