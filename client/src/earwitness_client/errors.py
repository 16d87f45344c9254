"""What can go wrong, each with a message that begins with *done*, *not done* or *unknown*.

EarwitnessError
├── NotSent             sending failed
│   ├── NotQueued       it is certainly not queued
│   └── MaybeQueued     it may be queued
├── NotAnswered         nothing was answered in time (a TimeoutError too)
└── JobError            what the worker says; the closed list of its contract
    ├── InvalidArgument (said by this library too, before anything is sent)
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


class EarwitnessError(Exception):
    """Root; its only argument is the message."""


class NotSent(EarwitnessError):
    """Sending failed; the message says whether the same request is to be sent again.

    ``request_id`` is the one to send it again under, the caller's own or the one that was made for
    it; None where the task takes none.
    """

    request_id: str | None = None


class NotQueued(NotSent):
    """The request is certainly not queued."""


class MaybeQueued(NotSent):
    """The request may be queued: the broker took it, or not, and did not say so."""


class NotAnswered(EarwitnessError, TimeoutError):
    """Nothing was answered within the time that was given; the job, if any, goes on."""


class JobError(EarwitnessError):
    """What the worker says of a job or a question."""


class InvalidArgument(JobError):
    """An argument is missing, unknown or wrong; the message names it, and no job was opened."""


class RequestConflict(JobError):
    """The request id was used before with other parameters."""


class CapReached(JobError):
    """The account's daily cap is reached; the same id may be sent again on another day."""


class Expired(JobError):
    """``not_after`` had passed before anything was sent to the provider."""


class NoSuchJob(JobError):
    """The ledger knows no such job."""


class Rejected(JobError):
    """The provider said no."""


class BadCredentials(Rejected):
    """The provider refused the account's credentials."""


class Uncertain(JobError):
    """It cannot be known whether it was done."""


class Unreachable(JobError):
    """The provider could not be reached; nothing was sent to it."""


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


class JobFailed(JobError):
    """The job failed with an exception that this version of the library has no class for."""


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
