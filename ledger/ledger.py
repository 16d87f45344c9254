"""The ledger: the durable record of every job, its operations grouped by concern."""

from __future__ import annotations

import os
import socket

from .accounts import Accounts
from .alerts import Alerts
from .archived import Archived
from .calls import Calls
from .database import Database
from .days import Days
from .decisions import Decisions
from .figures import Figures, figures
from .future_times import FutureTimes
from .hints import Hints
from .identity import Identity
from .instructions import Instructions
from .leases import Leases
from .notifications import Notifications
from .obligations import Obligations
from .reading import Reading
from .rebuilding import Rebuilding
from .recovery import Recovery
from .requests import Requests
from .waiters import Waiters
from .work import Work

#: A statement waits for another's lock for at most this part of a lease: under a third of it.
_BUSY_PART = 0.3


class Ledger:
    """Everything that survives: jobs, leases, waiters, obligations, days, accounts.

    Parameters: ``url`` of an SQLite file or a PostgreSQL database; ``lease_seconds``, how long a
    worker may be silent before its job passes to another.
    """

    def __init__(self, url: str, *, lease_seconds: float = 30) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}"
        self.database = Database(url, busy_seconds=min(5.0, lease_seconds * _BUSY_PART))
        self.leases = Leases(self.database, lease_seconds)
        self.identity = Identity(self.database)
        self.requests = Requests(self.database)
        self.work = Work(self.database, self.leases, worker)
        self.recovery = Recovery(self.database, worker)
        self.hints = Hints(self.database, patience_seconds=lease_seconds)
        self.waiters = Waiters(self.database)
        self.obligations = Obligations(self.database)
        self.notifications = Notifications(self.database)
        self.alerts = Alerts(self.database)
        self.decisions = Decisions(self.database)
        self.calls = Calls(self.database, self.leases, worker)
        self.instructions = Instructions(self.database)
        self.days = Days(self.database)
        self.accounts = Accounts(self.database)
        self.jobs = Reading(self.database)
        self.rebuilding = Rebuilding(self.database)
        self.future_times = FutureTimes(self.database, lease_seconds)
        self.archived = Archived(self.database)
        self.worker = worker

    def figures(self, *, patience_seconds: float) -> Figures:
        """What people watch of it. Raises LedgerAway after so many seconds."""
        return figures(self.database, patience_seconds=patience_seconds)

    def close(self) -> None:
        """Renew no lease any more and close its connections."""
        self.leases.close()
        self.database.close()
