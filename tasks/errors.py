"""The exceptions that callers see; their names leave the house, their messages begin with *done*,
*not done* or *unknown*.

JobError
├── InvalidArgument   names the argument; no job was opened
├── RequestConflict   the request id was used before with other parameters
├── CapReached        the account's daily cap of paid calls
├── Expired           past not_after
├── NoSuchJob
├── Rejected          the provider said no
│   └── BadCredentials
├── Uncertain         it may have been done
├── Unreachable       nothing was sent
├── Throttled         told to wait
├── NotReady          the deadline passed before it was ready
├── Incomplete        recordings are missing
├── Damaged           what came is not what it should be
├── Dangerous         what came would do harm
└── Cancelled
"""

from __future__ import annotations

from typing import ClassVar

from config.error_names import ErrorName


class JobError(Exception):
    """Root; its only argument is the message.

    ``contradicts`` is the path in the archive where something else stands than was to be kept;
    ``is_outcome`` is false where a job may still come to another end; ``name`` is what a job's row
    calls the error.
    """

    contradicts: str | None = None
    is_outcome = True
    name: ClassVar[ErrorName]

    def __init_subclass__(cls) -> None:
        """Refuse a class whose name is not in the vocabulary that the ledger shares."""
        super().__init_subclass__()
        cls.name = ErrorName(cls.__name__)


class InvalidArgument(JobError):
    """An argument is missing, unknown or wrong; the message names it."""


class RequestConflict(JobError):
    """The request id was used before with other parameters."""


class CapReached(JobError):
    """The account's daily cap is reached; the same id may be sent again on another day."""


class Expired(JobError):
    """``not_after`` had passed before anything was sent."""


class NoSuchJob(JobError):
    """The ledger knows no such job."""


class Rejected(JobError):
    """The provider said no."""


class BadCredentials(Rejected):
    """The provider refused the account's credentials."""


class Uncertain(JobError):
    """It can not be known whether it was done."""


class Unreachable(JobError):
    """The provider could not be reached; nothing was sent."""


class Throttled(JobError):
    """The provider asked to wait."""


class NotReady(JobError):
    """It was not ready before the deadline."""


class Incomplete(JobError):
    """Recordings that the provider lists are not in the archive."""


class Damaged(JobError):
    """What the provider sent is not whole."""


class Dangerous(JobError):
    """What the provider sent would do harm if it were unpacked."""


class Cancelled(JobError):
    """Somebody cancelled the job."""


def _all(root: type[JobError]) -> list[type[JobError]]:
    return [root, *(found for sub in root.__subclasses__() for found in _all(sub))]


BY_NAME: dict[str, type[JobError]] = {error.__name__: error for error in _all(JobError)}


def stored(error: JobError) -> dict[str, str]:
    """An error as it stands in the ledger."""
    return error.name.stored(str(error))


def replayed(error: dict[str, str] | None) -> JobError:
    """The error that stands in the ledger, to be raised again."""
    if error is None:
        return Uncertain("unknown: the job ended without saying why; see its history")
    # Another version may have stored an error that this one does not know: its words still tell.
    return BY_NAME.get(error["type"], Uncertain)(error["message"])
