"""Leases: who works on a job, and for how long that may be believed.

One thread a process renews all its leases in one statement, and only for work that gave a sign of
life. A holder never asks the database whether it still holds: it looks at its own monotonic clock.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from sqlalchemy import bindparam, update

from ledger.errors import LeaseLost, LedgerAway

from . import states
from .database import Database, now
from .schema import jobs

_log = logging.getLogger(__name__)


class Lease:
    """The right to work on one job, with a fencing token that every write of it carries."""

    def __init__(self, job_id: str, token: str, seconds: float, asked_at: float) -> None:
        self.job_id = job_id
        self.token = token
        self.cancelled = False
        self.transfer: dict[str, Any] | None = None
        self._seconds = seconds
        self._confirmed_at = asked_at
        self._alive_until = asked_at + seconds
        self._lost = False

    def progress(self, within_seconds: float | None = None) -> None:
        """Tell that the work goes on, and that the next sign of life comes within so many seconds
        (one lease's length unless told: the total deadline of the HTTP call that begins).
        """
        self._alive_until = time.monotonic() + (within_seconds or self._seconds)

    def check(self) -> None:
        """Raise LeaseLost when two thirds of the lease went by without a confirmed renewal."""
        if self._lost or self.trusted_seconds() <= 0:
            self._lost = True
            raise LeaseLost(f"the lease on job {self.job_id} was lost; another worker goes on")

    def trusted_seconds(self) -> float:
        """For how long this lease may still be believed, by the monotonic clock."""
        return self._confirmed_at + self._seconds * 2 / 3 - time.monotonic()

    def confirm(self, asked_at: float) -> None:
        """A renewal asked for at ``asked_at`` (monotonic) was written. A lease once judged lost
        stays lost: its holder may have stopped half-way.
        """
        self.check()
        self._confirmed_at = asked_at

    def lose(self) -> None:
        """Believe it no more: another holds the job, or its holder gave it up."""
        self._lost = True

    @property
    def alive(self) -> bool:
        """Whether the work gave a sign of life in time, so that renewing it is right."""
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

    def hold(self, lease: Lease) -> None:
        """Begin to renew a lease."""
        with self._lock:
            self._held[lease.token] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew_for_ever, daemon=True)
                self._thread.name = "earwitness-leases"
                self._thread.start()

    def drop(self, lease: Lease) -> None:
        """Give a lease up: it is renewed no more, and nothing may be written with it."""
        lease.lose()
        with self._lock:
            self._held.pop(lease.token, None)

    def close(self) -> None:
        """End the renewing of every lease; what is still held runs out."""
        with self._lock:
            self._held.clear()
            self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def renew(self) -> None:
        """Renew, in one statement, every lease whose work is alive; mark those that are gone."""
        with self._lock:
            alive = [lease for lease in self._held.values() if lease.alive]
        if not alive:
            return
        asked_at = time.monotonic()
        written = self._database.write(
            lambda connection: _extend(connection, alive, self.seconds),
            patience_seconds=self.seconds / 6,
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
                # Nothing to do but to go on asking, and soon: the holders' own clocks run.
                pause = self.seconds / 60
            except Exception:  # noqa: BLE001 - every later lease needs this thread as well
                _log.exception("the leases could not be renewed")


def _extend(connection: Any, alive: list[Lease], seconds: float) -> dict[str, bool]:
    extended = connection.execute(
        update(jobs)
        .where(jobs.c.lease_token.in_([lease.token for lease in alive]))
        .where(jobs.c.state.in_((states.RUNNING, states.SENDING)))
        .values(lease_until=now() + seconds)
        .returning(jobs.c.lease_token, jobs.c.cancel_requested)
    )
    written = {row.lease_token: row.cancel_requested for row in extended}
    moving = [lease for lease in alive if lease.transfer is not None and lease.token in written]
    if moving:
        connection.execute(
            update(jobs)
            .where(jobs.c.lease_token == bindparam("token"))
            .values(transfer=bindparam("figures")),
            [{"token": lease.token, "figures": lease.transfer} for lease in moving],
        )
    return written
