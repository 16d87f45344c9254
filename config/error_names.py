"""The names of the exceptions that callers see, as a job's row in the ledger holds them.

The ledger ends some jobs by itself and cannot import the exceptions, which belong to the tasks
above it (tasks/errors.py). Both take the names from here.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorName(StrEnum):
    """The name of an exception class in tasks/errors.py."""

    INVALID_ARGUMENT = "InvalidArgument"
    REQUEST_CONFLICT = "RequestConflict"
    CAP_REACHED = "CapReached"
    EXPIRED = "Expired"
    NO_SUCH_JOB = "NoSuchJob"
    REJECTED = "Rejected"
    BAD_CREDENTIALS = "BadCredentials"
    UNCERTAIN = "Uncertain"
    UNREACHABLE = "Unreachable"
    THROTTLED = "Throttled"
    NOT_READY = "NotReady"
    INCOMPLETE = "Incomplete"
    DAMAGED = "Damaged"
    DANGEROUS = "Dangerous"
    CANCELLED = "Cancelled"

    def stored(self, message: str) -> dict[str, str]:
        """Return the error with this name and message as a job's row holds it."""
        return {"type": self.value, "message": message}
