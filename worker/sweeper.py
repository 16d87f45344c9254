"""The sweeper: one thread a worker process, which needs neither Redis nor a healthy consumer; and
others that send alerts, whose receiver may hang, look after the archive, which may hang too,
and show in Redis that the worker lives.

A *worker* bootstep: a consumer step stands still while Redis is away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from celery import bootsteps

from config.logging import bind
from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import settings
from ledger.alerts import CONTRADICTION, EVERY_ACCOUNT, Alert
from ledger.core.wakeups import Hint
from ledger.errors import Foreign, LedgerError
from tasks.archive_watch.watch import Watch
from tasks.runtime import metrics
from tasks.runtime.alerts import FOREIGN_REDIS, deliver_due
from tasks.runtime.context import ledger, spool, stopping
from tasks.runtime.messages import publish
from tasks.runtime.outbox import discharge_due
from tasks.runtime.redis_errors import BROKER_AWAY, is_away

from .health.heartbeat import pulse
from .redis.presence import Presence
from .redis.queue_keys import QueueKeys
from .redis.set_aside import announce
from .redis.unknown_tasks import unknown
from .startup_checks import claim_redis, comparison_owed, notice_older_ledger

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
        presence = Presence(parent.hostname)
        acts: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("sweeper", rounds.sweep),
            ("alerts", deliver_due),
            ("archive", rounds.watch),
            ("presence", lambda: presence.show(parent.app.backend.client)),
        )
        for name, act in acts:
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
    """Act every few seconds until ``stop`` is set. A round that fails does not prevent the next."""
    who = threading.current_thread().name
    while not stop.wait(settings().sweep_seconds):
        try:
            act()
        except LedgerError as error:
            _log.warning("this round of %s came to nothing: %s", who, error)
        except Exception:  # noqa: BLE001 - logged; a thread that dies leaves jobs unannounced
            _log.exception("this round of %s failed", who)


#: Times that a clock wrote while it was ahead are looked for in one round of so many, from the
#: first on: once a minute by default.
_CLOCK_ROUNDS = 12


class Rounds:
    """What the thread does again and again."""

    def __init__(self, app: Any, *, slots: int) -> None:
        self._app = app
        self._watch = Watch()
        self._round = 0
        self._keys = QueueKeys(app)
        self._identity = ledger().identity.identity()
        self._room = {
            FRONT_DOOR: 0,
            DUE: _HINTS_PER_SLOT * slots,
            DOWNLOADS: _HINTS_PER_SLOT * settings().transfers_per_worker,
        }

    def watch(self) -> None:
        """Look after the archive; what a start could not ask it is asked as soon as it answers."""
        if self._watch.look() and comparison_owed.is_set():
            notice_older_ledger()

    def sweep(self) -> None:
        """One round: times of a clock that was ahead, the dead, what is owed, then hints. What
        fails in one of them, however often, does not hold up the others. Raises LedgerError.
        """
        for act in (
            self._mend_future_times,
            _take_from_the_dead,
            unknown.tell,
            discharge_due,
            self._announce,
            self._mend_keys,
            self._tell_of_set_aside,
            _sweep_spool,
        ):
            try:
                act()
            except LedgerError:
                raise
            except Exception:  # noqa: BLE001 - logged; the rest of the round does not wait for it
                _log.exception("a part of this round failed")

    def _mend_future_times(self) -> None:
        # A clock is put right now and then, and the look costs a read of all jobs that wait.
        number, self._round = self._round, self._round + 1
        if number % _CLOCK_ROUNDS == 0:
            _mend_future_times()

    def _announce(self) -> None:
        try:
            self._claim()
            for queue, room in self._room.items():
                self._fill(queue, room)
        except BROKER_AWAY as error:
            _log.warning("hints wait for Redis: %s", error)

    def _claim(self) -> None:
        # Redis may have been flushed: the mark that tells deployments apart is set again.
        try:
            claim_redis(self._app, self._identity)
        except Foreign as error:
            ledger().alerts.open(Alert(FOREIGN_REDIS, CONTRADICTION, EVERY_ACCOUNT, str(error)))
            raise
        ledger().alerts.close(FOREIGN_REDIS)

    def _fill(self, queue: str, room: int) -> None:
        """Publish hints until so many lie in the queue. Raises BROKER_AWAY; a queue that Redis
        refuses alone holds up no other.
        """
        try:
            length = self._keys.length(queue)
            for hint in self._hints(queue, room - length, is_empty=length == 0):
                publish(hint)
        except BROKER_AWAY as error:
            if is_away(error):
                raise
            _log.error("no hint can be put into the queue %s: %s", queue, error)

    def _hints(self, queue: str, free: int, *, is_empty: bool) -> list[Hint]:
        # However many jobs are due, who waits for one that has ended is answered.
        hints = self._answers(queue, -(-free // _ANSWERS_SHARE))
        left = free - len(hints)
        hints += ledger().wakeups.due(queue, room=left, queue_is_empty=is_empty)
        return hints + self._answers(queue, free - len(hints))

    def _mend_keys(self) -> None:
        try:
            self._keys.mend_others()
        except BROKER_AWAY as error:
            _log.warning("the keys of messages in hand were not examined: %s", error)

    def _tell_of_set_aside(self) -> None:
        try:
            announce(self._app.backend.client, settings().redis_key(""))
        except BROKER_AWAY as error:
            _log.warning("whether messages were set aside is not known: %s", error)

    @staticmethod
    def _answers(queue: str, limit: int) -> list[Hint]:
        if queue != DUE or limit <= 0:
            return []
        return ledger().waiters.due(queue=queue, limit=limit)


def _take_from_the_dead() -> None:
    for job in ledger().lease_expiry.take_from_the_dead():
        with bind(job_id=job.job_id, account=job.account):
            _log.warning("job %s: %s (takeover %d)", job.job_id, job.reason, job.takeovers)
        metrics.takeovers.labels(job.account).inc()


def _sweep_spool() -> None:
    spool().sweep(_SPOOL_SECONDS)
    spool().sweep_refused(_REFUSED_SECONDS)


def _mend_future_times() -> None:
    found = ledger().future_times.mend()
    if found:
        first = found[0]
        _log.warning(
            "%d times lay further ahead than they can (%s %s by %.0f s, ...): a clock was ahead; "
            "what was to wait for them is due now",
            len(found),
            first.what,
            first.name,
            first.seconds,
        )
