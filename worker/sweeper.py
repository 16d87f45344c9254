"""The sweeper: one thread a worker process, which needs neither Redis nor a healthy consumer; and
another that sends alerts, whose receiver may hang.

A *worker* bootstep: a consumer step stands still while Redis is away (design section 8).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from celery import bootsteps

from config.logging import bind
from config.queues import DOWNLOADS, DUE
from config.settings import settings
from ledger.alerts import CONTRADICTION, EVERY_ACCOUNT, Alert
from ledger.errors import Foreign, LedgerError
from ledger.hints import Hint
from tasks import measures
from tasks.alerts import FOREIGN_REDIS, deliver_due
from tasks.duties import discharge_due
from tasks.message import BROKER_AWAY, publish
from tasks.resources import ledger, spool, stopping

from .pulse import pulse
from .start import claim_redis

_log = logging.getLogger(__name__)

#: Hints outstanding in a queue for each slot that takes them; the backlog stays in the ledger.
_HINTS_PER_SLOT = 4
#: One in so many of them is kept for answers.
_ANSWERS_SHARE = 4
#: A part of a download that nobody has touched for so long is abandoned.
_SPOOL_SECONDS = 7 * 86_400.0
#: How long refused files wait for a person (docs/operations.md).
_REFUSED_SECONDS = 90 * 86_400.0


class Sweeper(bootsteps.StartStopStep):
    """Starts and stops the thread with the worker."""

    requires: ClassVar = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, parent: Any) -> None:
        """Begin."""
        rounds = Rounds(parent.app, slots=parent.concurrency or 1)
        for name, act in (("sweeper", rounds.sweep), ("alerts", deliver_due)):
            thread = threading.Thread(
                target=repeated, args=(act, self._stop), name=f"earwitness-{name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self, _parent: Any) -> None:
        """End the threads. Whoever ended the worker, a signal or remote control: what it has under
        way is given back.
        """
        stopping.set()
        pulse.stopping()
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=settings().sweep_seconds + 5)


def repeated(act: Callable[[], Any], stop: threading.Event) -> None:
    """Do it every few seconds until told to stop; whatever goes wrong in one round, the next one
    comes.
    """
    who = threading.current_thread().name
    while not stop.wait(settings().sweep_seconds):
        try:
            act()
        except LedgerError as error:
            _log.warning("this round of %s came to nothing: %s", who, error)
        except Exception:  # noqa: BLE001 - logged; a thread that dies leaves jobs unannounced
            _log.exception("this round of %s failed", who)


class Rounds:
    """What the thread does again and again."""

    def __init__(self, app: Any, *, slots: int) -> None:
        self._app = app
        self._identity = ledger().identity.identity()
        self._room = {
            DUE: _HINTS_PER_SLOT * slots,
            DOWNLOADS: _HINTS_PER_SLOT * settings().transfers_per_worker,
        }

    def sweep(self) -> None:
        """One round: the dead, what is owed, then hints."""
        for job in ledger().recovery.take_from_the_dead():
            with bind(job_id=job.job_id, account=job.account):
                _log.warning("job %s: %s (takeover %d)", job.job_id, job.reason, job.takeovers)
            measures.takeovers.labels(job.account).inc()
        discharge_due()
        try:
            self._announce()
        except BROKER_AWAY as error:
            _log.warning("hints wait for Redis: %s", error)
        spool().sweep(_SPOOL_SECONDS)
        spool().sweep_refused(_REFUSED_SECONDS)

    def _announce(self) -> None:
        # Redis may have been flushed: the mark that tells deployments apart is set again.
        try:
            claim_redis(self._app, self._identity)
        except Foreign as error:
            ledger().alerts.open(Alert(FOREIGN_REDIS, CONTRADICTION, EVERY_ACCOUNT, str(error)))
            raise
        ledger().alerts.close(FOREIGN_REDIS)
        with self._app.connection_for_write() as connection:
            channel = connection.default_channel
            lengths = {queue: channel._size(queue) for queue in self._room}  # noqa: SLF001
        for queue, room in self._room.items():
            free = room - lengths[queue]
            # However many jobs are due, who waits for one that has ended is answered.
            hints = self._answers(queue, -(-free // _ANSWERS_SHARE))
            left = free - len(hints)
            hints += ledger().hints.due(queue, room=left, queue_is_empty=lengths[queue] == 0)
            hints += self._answers(queue, free - len(hints))
            for hint in hints:
                publish(hint)

    @staticmethod
    def _answers(queue: str, limit: int) -> list[Hint]:
        if queue != DUE or limit <= 0:
            return []
        return ledger().waiters.due(queue=queue, limit=limit)
