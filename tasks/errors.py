"""The exceptions that callers see.

Their names are public, and their messages begin with *done*, *not done* or *unknown*.

JobError
├── InvalidArgument   names the argument; no job was opened
├── RequestConflict   the request id was used before with other parameters
├── CapReached        the account's daily cap of paid calls
├── Expired           not_after has passed
├── NoSuchJob
├── Rejected          the provider refused
│   └── BadCredentials
├── Uncertain         the outcome is unknown
├── Unreachable       nothing was sent
├── Throttled         the provider asked to wait
├── NotReady          the deadline passed first
├── Incomplete        recordings are missing
├── Damaged           the received file is not whole
├── Dangerous         the received file would do harm
└── Cancelled
"""

from __future__ import annotations

from typing import ClassVar, Literal

from config.error_names import ErrorName

#: How an error's message begins: what is known of the work that was asked for.
Outcome = Literal["done", "not done", "unknown"]

_NEW_ID = "no: use a new request id"


class JobError(Exception):
    """The root; the message is the only argument.

    ``contradicts`` is the archive path at which another file lies than the one to be stored;
    ``is_outcome`` is false where the job may still end in another way; ``unknown_account`` is the
    alias that the accounts of this process lack; ``name`` is what a job's row calls the error.
    ``outcomes`` are the beginnings that its messages may have, and ``send_again`` says whether the
    same request id may be sent again (docs/tasks.md).
    """

    contradicts: str | None = None
    unknown_account: str | None = None
    is_outcome = True
    name: ClassVar[ErrorName]
    outcomes: ClassVar[tuple[Outcome, ...]] = ("not done",)
    send_again: ClassVar[str] = _NEW_ID

    def __init_subclass__(cls) -> None:
        """Refuse a class whose name is missing from the vocabulary that the ledger shares."""
        super().__init_subclass__()
        cls.name = ErrorName(cls.__name__)


class InvalidArgument(JobError):
    """An argument is missing, unknown or wrong; the message names it."""

    send_again = "yes, corrected"


class RequestConflict(JobError):
    """The request id was used before with other parameters."""


class CapReached(JobError):
    """The account's daily cap is reached; send the same id again on another day."""

    send_again = "yes, on another day"


class Expired(JobError):
    """``not_after`` had passed before anything was sent."""


class NoSuchJob(JobError):
    """The ledger knows no such job."""

    send_again = "yes, with the id of a job that exists"


class Rejected(JobError):
    """The provider refused."""


class BadCredentials(Rejected):
    """The provider refused the account's credentials."""


class Uncertain(JobError):
    """Whether the work was done cannot be known."""

    outcomes = ("unknown",)
    send_again = "never automatically: check what happened first"


class Unreachable(JobError):
    """The provider could not be reached; nothing was sent."""


class Throttled(JobError):
    """The provider asked to wait."""


class NotReady(JobError):
    """The result was not ready before the deadline."""


class Incomplete(JobError):
    """Recordings that the provider lists are not in the archive."""

    send_again = "no: the next night tries again"


class Damaged(JobError):
    """The file that the provider sent is not whole, or a verification found damage (*done*)."""

    outcomes = ("done", "not done")


class Dangerous(JobError):
    """The file that the provider sent would do harm if it were unpacked."""


class Cancelled(JobError):
    """The job was cancelled."""


def _all(root: type[JobError]) -> list[type[JobError]]:
    return [root, *(found for sub in root.__subclasses__() for found in _all(sub))]


BY_NAME: dict[str, type[JobError]] = {error.__name__: error for error in _all(JobError)}


def stored(error: JobError) -> dict[str, str]:
    """Return an error as the ledger stores it."""
    return error.name.stored(str(error))


def replayed(error: dict[str, str] | None) -> JobError:
    """Return the error that the ledger stores, to be raised again."""
    if error is None:
        return Uncertain("unknown: the job ended without a stored reason; see its history")
    # Another version may have stored an error that this one does not know: its message still helps.
    return BY_NAME.get(error["type"], Uncertain)(error["message"])
