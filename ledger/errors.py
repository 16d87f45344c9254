"""Errors of the ledger: its refusals, and its failure to answer.

LedgerError
├── LedgerAway         the database did not answer in time; nothing is known to have changed
│   └── NotBegun       the write did not come to its turn in time; certainly nothing was written
├── Unsuitable         the database cannot hold a ledger, or is damaged
├── SchemaMismatch     the database has another version than this program
├── Foreign            another ledger's identity stands in the archive or in Redis
├── CapReached         the account's cap of paid calls is reached for today
├── Expired            not_after has passed before anything was sent
├── RequestConflict    the request id was used before with other parameters
├── NoSuchJob          no job has this id
├── UnknownKind        this program does not know the kind of a job
├── NotPossible        the state of the job, or of the alert, does not allow it
└── LeaseLost          the caller no longer holds the job: it must stop and store nothing
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of the ledger's errors; its text is a sentence for people."""


class LedgerAway(LedgerError):
    """The database did not answer in time."""


class NotBegun(LedgerAway):
    """The write was not begun in time; certainly nothing was written."""


class Unsuitable(LedgerError):
    """The database, as it was created, cannot hold a ledger, or its file is damaged."""


class SchemaMismatch(LedgerError):
    """The database's schema is older or newer than this program's."""


class Foreign(LedgerError):
    """Another ledger's identity stands in the archive or in Redis."""


class CapReached(LedgerError):
    """The account's cap of paid calls is reached for today; no job was opened, nothing was sent."""


class Expired(LedgerError):
    """``not_after`` passed before anything was sent."""


class RequestConflict(LedgerError):
    """The request id was used before with other parameters."""


class NoSuchJob(LedgerError):
    """No job has this id."""


class UnknownKind(LedgerError):
    """The kind of a job is unknown to this program, which cannot open, end or pass on the job."""


class NotPossible(LedgerError):
    """The state of the job, or of the alert, does not allow the operation."""


class LeaseLost(LedgerError):
    """The lease is gone or can no longer be trusted; its former holder must stop and store
    nothing.
    """
