"""The library's errors; each message begins with *done*, *not done* or *unknown*.

EarwitnessError
├── NotSent             sending failed
│   ├── NotQueued       the request is certainly not queued
│   │   └── Closed      the client was closed before
│   └── MaybeQueued     the request may be queued
├── NotAnswered         no answer in time (a TimeoutError too)
└── JobError            the worker's errors; the closed list of its contract
    ├── InvalidArgument (this library raises it, too, before it sends anything)
    ├── RequestConflict
    ├── CapReached
    ├── Expired
    ├── NoSuchJob
    ├── Rejected
    │   └── BadCredentials
    ├── Uncertain
    ├── Unreachable
    ├── Throttled
    ├── NotReady
    ├── Incomplete
    ├── Damaged
    ├── Dangerous
    ├── Cancelled
    └── JobFailed       an exception that this version of the library does not know
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class EarwitnessError(Exception):
    """The root of all errors; its only argument is the message."""


class NotSent(EarwitnessError):
    """Sending failed; the message says whether to send the same request again.

    ``request_id`` is the id under which to send the request again: the caller's, or the one that
    was made for it; None if the task takes none. After ``send_many``, ``jobs`` has what was to be
    sent, in order: each can be sent again (``send_again``).
    """

    request_id: str | None = None
    jobs: Sequence[Any] = ()


class NotQueued(NotSent):
    """The request is certainly not queued."""


class Closed(NotQueued):
    """The client was closed: it neither sends nor waits any more. Make another one."""


class MaybeQueued(NotSent):
    """The request may be queued: the broker did not confirm it."""


class NotAnswered(EarwitnessError, TimeoutError):
    """No answer came within the given time; the job, if there is one, continues."""


class JobError(EarwitnessError):
    """An error that the worker reports about a job or a question."""


class InvalidArgument(JobError):
    """An argument is missing, unknown or wrong; the message names it, and no job was opened."""


class RequestConflict(JobError):
    """The request id was used before with other parameters."""


class CapReached(JobError):
    """The account's daily cap is reached; send the same id again on another day."""


class Expired(JobError):
    """``not_after`` had passed before anything was sent to the provider."""


class NoSuchJob(JobError):
    """The ledger has no such job.

    ``refusal`` is the error with which the request was refused, as far as that is known; else the
    request may not have been accepted yet.
    """

    refusal: JobError | None = None


class Rejected(JobError):
    """The provider refused the request."""


class BadCredentials(Rejected):
    """The provider refused the account's credentials."""


class Uncertain(JobError):
    """It is unknown whether the job was done."""


class Unreachable(JobError):
    """The provider could not be reached; nothing was sent to it."""


class Throttled(JobError):
    """The provider asked for a pause."""


class NotReady(JobError):
    """The export or recording was not ready before the deadline."""


class Incomplete(JobError):
    """Recordings that the provider lists are not in the archive."""


class Damaged(JobError):
    """The data that the provider sent is damaged or incomplete."""


class Dangerous(JobError):
    """The archive that the provider sent would do harm if unpacked."""


class Cancelled(JobError):
    """The job was cancelled."""


class JobFailed(JobError):
    """The job failed with an exception that this version of the library does not know."""


#: The worker's exceptions by the name under which Celery stores them.
BY_NAME: dict[str, type[JobError]] = {
    error.__name__: error
    for error in (
        InvalidArgument,
        RequestConflict,
        CapReached,
        Expired,
        NoSuchJob,
        Rejected,
        BadCredentials,
        Uncertain,
        Unreachable,
        Throttled,
        NotReady,
        Incomplete,
        Damaged,
        Dangerous,
        Cancelled,
    )
}
