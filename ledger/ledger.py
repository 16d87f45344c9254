"""The ledger: the durable record of every job, its operations grouped by concern."""

from __future__ import annotations

import os
import socket

from . import kinds as _kinds  # noqa: F401 - registers the hooks of every kind of job
from .accounts import Accounts
from .alerts import Alerts
from .archive_record import ArchiveRecord
from .calls import Calls
from .core.database import Database
from .core.execution import Execution
from .core.future_times import FutureTimes
from .core.lease_expiry import LeaseExpiry
from .core.leases import Leases
from .core.opening import Opening
from .core.outbox import Outbox
from .core.queries import Queries
from .core.waiters import Waiters
from .core.wakeups import Wakeups
from .days import Days
from .held_jobs import HeldJobs
from .history import History
from .identity import Identity
from .notifications import Notifications
from .operator_actions import OperatorActions
from .rebuild.rebuild import Rebuilding
from .recording_instructions import RecordingInstructions
from .stats import Stats, stats

#: A statement waits for another's lock for at most this part of a lease, under a third of it.
_BUSY_PART = 0.3


class Ledger:
    """All durable state: jobs, leases, waiters, obligations, days, accounts.

    Parameters: ``url`` of an SQLite file or a PostgreSQL database; ``lease_seconds``, how long a
    worker may be silent before its job passes to another.
    """

    def __init__(self, url: str, *, lease_seconds: float = 30) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}"
        self.database = Database(url, busy_seconds=min(5.0, lease_seconds * _BUSY_PART))
        self.leases = Leases(self.database, lease_seconds)
        self.identity = Identity(self.database)
        self.opening = Opening(self.database)
        self.execution = Execution(self.database, self.leases, worker)
        self.lease_expiry = LeaseExpiry(self.database, self.leases, worker)
        self.wakeups = Wakeups(self.database, patience_seconds=lease_seconds)
        self.waiters = Waiters(self.database)
        self.outbox = Outbox(self.database)
        self.notifications = Notifications(self.database)
        self.alerts = Alerts(self.database)
        self.held_jobs = HeldJobs(self.database, self.alerts)
        self.operator_actions = OperatorActions(self.database)
        self.calls = Calls(self.database, self.leases, worker)
        self.recording_instructions = RecordingInstructions(self.database)
        self.days = Days(self.database)
        self.history = History(self.database)
        self.accounts = Accounts(self.database)
        self.jobs = Queries(self.database)
        self.rebuilding = Rebuilding(self.database)
        self.future_times = FutureTimes(self.database, lease_seconds)
        self.archive_record = ArchiveRecord(self.database)
        self.worker = worker

    def stats(self, *, patience_seconds: float) -> Stats:
        """Return the statistics of the ledger. Raises LedgerAway after ``patience_seconds``."""
        return stats(self.database, patience_seconds=patience_seconds)

    def close(self) -> None:
        """Stop renewing leases and close all connections."""
        self.leases.close()
        self.database.close()
