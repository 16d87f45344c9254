"""Leases: which worker holds a job, and for how long the worker may believe that.

One thread per process renews all its leases in one statement, and only for work that gave a sign of
life. A holder never asks the database whether it still holds a job: the holder checks its own
monotonic clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import Double, bindparam, cast, update

from ledger.errors import LeaseLost, LedgerAway

from . import states
from .database import Database, now
from .prepared import Prepared, one_of, parameter
from .schema import jobs

_log = logging.getLogger(__name__)


class Lease:
    """The right to work on one job. Every write under the lease carries its fencing token."""

    def __init__(self, job_id: str, token: str, seconds: float, asked_at: float) -> None:
        self.job_id = job_id
        self.token = token
        #: The thread that works on the job.
        self.thread = threading.get_ident()
        self.cancelled = False
        #: Whether the account of the job was not paused when the job was claimed.
        self.found_no_pause = False
        self.transfer: dict[str, Any] | None = None
        #: Held while its holder notes the sending of a call; then, whether that may be written.
        self.sending = threading.Lock()
        self.sending_noted = False
        self._seconds = seconds
        self._confirmed_at = asked_at
        self._alive_until = asked_at + seconds
        self._lost = False

    def progress(self, within_seconds: float | None = None) -> None:
        """Report that the work continues, and that the next sign of life comes within
        ``within_seconds``. The default is one lease's length; an HTTP call passes its total
        deadline.
        """
        self._alive_until = time.monotonic() + (within_seconds or self._seconds)

    def check(self) -> None:
        """Raise LeaseLost when two thirds of the lease passed without a confirmed renewal."""
        if self._lost or self.trusted_seconds() <= 0:
            self._lost = True
            raise LeaseLost(
                f"the lease on job {self.job_id} was lost; another worker continues the job"
            )

    def trusted_seconds(self) -> float:
        """Return the seconds for which this lease may still be believed, by the monotonic clock."""
        return self._confirmed_at + self._seconds * 2 / 3 - time.monotonic()

    def confirm(self, asked_at: float) -> None:
        """Confirm a renewal that was asked for at ``asked_at`` (monotonic). A lease once judged
        lost stays lost: its holder may have stopped half-way.
        """
        self.check()
        self._confirmed_at = asked_at

    @property
    def confirmed_at(self) -> float:
        """When the last confirmed renewal, or the claim, was asked for, in monotonic seconds."""
        return self._confirmed_at

    def lose(self) -> None:
        """Mark the lease as lost: another worker holds the job, or its holder gave it up."""
        self._lost = True

    @property
    def alive(self) -> bool:
        """Whether the work gave a sign of life in time, so that the lease may be renewed."""
        return not self._lost and time.monotonic() < self._alive_until


class Leases:
    """Every lease that this process holds, and the thread that renews them."""

    def __init__(self, database: Database, seconds: float) -> None:
        self.seconds = seconds
        self._database = database
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def count(self) -> int:
        """Return how many leases this process holds."""
        return len(self._held)

    def hold(self, lease: Lease) -> None:
        """Begin to renew a lease."""
        with self._lock:
            self._held[lease.token] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew_for_ever, daemon=True)
                self._thread.name = "earwitness-leases"
                self._thread.start()

    def silent(self, threads: Collection[int]) -> list[Lease]:
        """Return the leases of these threads whose work gave no sign of life in time."""
        with self._lock:
            held = list(self._held.values())
        return [lease for lease in held if lease.thread in threads and not lease.alive]

    def drop(self, lease: Lease) -> None:
        """Give a lease up: it is no longer renewed, and nothing may be written under it."""
        lease.lose()
        with self._lock:
            self._held.pop(lease.token, None)

    def close(self) -> None:
        """Stop renewing; all remaining leases expire."""
        with self._lock:
            self._held.clear()
            self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def renew(self) -> None:
        """Renew every lease with live work in one statement; mark the leases that are lost."""
        with self._lock:
            alive = [lease for lease in self._held.values() if lease.alive]
        if not alive:
            return
        asked_at = time.monotonic()
        written = self._database.write(
            lambda connection: _extend(connection, alive, self.seconds),
            patience_seconds=self.seconds / 6,
            first=True,
        )
        for lease in alive:
            if lease.token not in written:
                lease.lose()
                continue
            lease.cancelled = written[lease.token]
            try:
                lease.confirm(asked_at)
            except LeaseLost:
                continue

    def _renew_for_ever(self) -> None:
        pause = self.seconds / 6
        while not self._closed.wait(pause):
            pause = self.seconds / 6
            try:
                self.renew()
            except LedgerAway:
                # The thread can only ask again, and soon: the holders' own clocks run on.
                pause = self.seconds / 60
            except Exception:  # noqa: BLE001 - every later lease needs this thread as well
                _log.exception("this process could not renew its leases; it tries again")


def _extend(connection: Any, alive: list[Lease], seconds: float) -> dict[str, bool]:
    tokens = [lease.token for lease in alive]
    extended = _EXTEND.rows(connection, tokens=tokens, seconds=seconds)
    written = {row.lease_token: row.cancel_requested for row in extended}
    moving = [lease for lease in alive if lease.transfer is not None and lease.token in written]
    if moving:
        connection.execute(
            _NOTE_TRANSFER,
            [
                {"job": lease.job_id, "token": lease.token, "figures": lease.transfer}
                for lease in moving
            ],
        )
    return written


_EXTEND = Prepared(
    update(jobs)
    .where(one_of(jobs.c.lease_token, "tokens"))
    .where(jobs.c.state.in_((states.RUNNING, states.SENDING)))
    .values(lease_until=now() + cast(parameter("seconds"), Double))
    .returning(jobs.c.lease_token, jobs.c.cancel_requested)
)
_NOTE_TRANSFER = (
    update(jobs)
    .where(jobs.c.job_id == bindparam("job"), jobs.c.lease_token == bindparam("token"))
    .values(transfer=bindparam("figures"))
)
