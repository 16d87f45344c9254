"""The sweeper: a worker's periodic maintenance.

One thread sweeps the ledger and needs neither Redis nor a healthy consumer. Others send alerts,
watch the archive, announce the worker in Redis and tell people of a ledger that is away, since the
alerts' receiver, the archive, Redis and the ledger may hang. The bootstep belongs to the *worker*,
because steps of the consumer stop while Redis is away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from celery import bootsteps

from config.logging import bind
from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import settings
from ledger.alerts import CONTRADICTION, EVERY_ACCOUNT, Alert
from ledger.core.future_times import FutureTime
from ledger.core.lease_expiry import died
from ledger.core.wakeups import Hint
from ledger.errors import Foreign, LedgerError
from tasks.archive_watch.watch import Watch
from tasks.runtime import metrics
from tasks.runtime.alerts import FOREIGN_REDIS, deliver_due
from tasks.runtime.context import ledger, spool, stopping
from tasks.runtime.ledger_alert import LedgerAlert
from tasks.runtime.messages import publish
from tasks.runtime.outbox import BATCH, discharge_due
from tasks.runtime.redis_errors import BROKER_AWAY, is_away

from .health.heartbeat import heartbeat
from .redis import set_aside
from .redis.presence import Presence
from .redis.queue_keys import QueueKeys
from .redis.unknown_tasks import unknown
from .startup_checks import claim_redis, comparison_pending, notice_older_ledger

_log = logging.getLogger(__name__)

#: Hints in a queue for each thread that takes them; the backlog stays in the ledger.
_HINTS_PER_SLOT = 4
#: The pause before the next round while there is more to do.
_BUSY_PAUSE_SECONDS = 0.05
#: One hint in so many is reserved for answers.
_ANSWERS_SHARE = 4
#: A partial download untouched for so long is abandoned.
_SPOOL_SECONDS = 7 * 86_400.0
#: How long refused files are kept for a person to look at (docs/operations.md).
_REFUSED_SECONDS = 90 * 86_400.0


class Sweeper(bootsteps.StartStopStep):
    """Starts and stops the threads with the worker."""

    requires: ClassVar = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, parent: Any) -> None:
        """Start the threads."""
        rounds = Rounds(parent.app, slots=parent.concurrency or 1)
        presence = Presence(parent.hostname)
        actions: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("sweeper", rounds.sweep),
            ("alerts", deliver_due),
            ("archive", rounds.watch),
            ("presence", lambda: presence.announce(parent.app.backend.client)),
            ("outage", LedgerAlert(parent.hostname).look),
        )
        for name, action in actions:
            thread = threading.Thread(
                target=repeat, args=(action, self._stop), name=f"earwitness-{name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self, _parent: Any) -> None:
        """Stop the threads, and have running tasks give their jobs back.

        The signal handler does this too, but remote control ends a worker without a signal.
        """
        stopping.set()
        heartbeat.stopping()
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=settings().sweep_seconds + 5)


def repeat(action: Callable[[], Any], stop: threading.Event) -> None:
    """Run ``action`` every few seconds until ``stop`` is set; log failures and go on.

    The action returns True if there is more to do at once.
    """
    name = threading.current_thread().name
    pause = settings().sweep_seconds
    while not stop.wait(pause):
        pause = settings().sweep_seconds
        try:
            if action() is True:
                pause = min(pause, _BUSY_PAUSE_SECONDS)
        except LedgerError as error:
            _log.warning("%s round failed, will retry: %s", name, error)
        except Exception:  # noqa: BLE001 - logged; a dead thread would leave jobs unannounced
            _log.exception("%s round failed, will retry", name)


class Rounds:
    """The rounds of the sweeper's thread."""

    def __init__(self, app: Any, *, slots: int) -> None:
        self._app = app
        self._watch = Watch()
        self._is_first = True
        self._keys = QueueKeys(app)
        self._identity = ledger().identity.identity()
        self._whole = (
            self._mend_future_times,
            _expire_leases,
            unknown.open_alert,
            ledger().held_jobs.update_alerts,
            self._discharge,
            self._announce_first,
            self._mend_keys,
            self._announce_set_aside,
            _sweep_spool,
        )
        self._busy = (self._discharge, self._announce)
        self._next_whole = 0.0
        self._room = {
            FRONT_DOOR: 0,
            DUE: _HINTS_PER_SLOT * slots,
            DOWNLOADS: _HINTS_PER_SLOT * settings().transfers_per_worker,
        }

    def watch(self) -> None:
        """Check the archive, and compare the ledger with it if the start could not."""
        if self._watch.look() and comparison_pending.is_set():
            notice_older_ledger()

    def sweep(self) -> bool:
        """Do one round; return whether there is more to do at once.

        A whole round consists of expired leases, the outbox, hints, and repairs. While there is
        more to do, rounds of the outbox and hints alone follow each other, and a whole one is done
        every few seconds and at the end.

        A step that fails, however often, does not hold up the others. Raises LedgerError.
        """
        is_whole = time.monotonic() >= self._next_whole
        if is_whole:
            self._next_whole = time.monotonic() + settings().sweep_seconds
        steps = self._whole if is_whole else self._busy
        if sum(self._carry_out(step) for step in steps) == 0:
            self._next_whole = 0.0
            return not is_whole
        return True

    def _carry_out(self, step: Callable[[], Any]) -> bool:
        try:
            return step() is True
        except LedgerError:
            raise
        except Exception:  # noqa: BLE001 - logged; the other steps of the round still run
            _log.exception("a step of the sweeper's round failed")
            return False

    @staticmethod
    def _discharge() -> bool:
        return discharge_due() >= BATCH

    def _mend_future_times(self) -> None:
        # Clocks are rarely wrong, and some kinds of times are found only by reading every waiting
        # job: after the start, each round looks for one kind.
        times = ledger().future_times
        _report_future_times(times.mend() if self._is_first else times.mend_in_turn())
        self._is_first = False

    def _announce_first(self) -> bool:
        self._claim()
        return self._announce()

    def _announce(self) -> bool:
        """Publish hints; return whether a queue took as many as it may hold."""
        try:
            self._keys.look()
            return sum(self._fill(queue, room) for queue, room in self._room.items()) > 0
        except BROKER_AWAY as error:
            _log.warning("hints wait for Redis: %s", error)
            return False

    def _claim(self) -> None:
        # Redis may have been flushed: write the identity again.
        try:
            claim_redis(self._app, self._identity)
        except Foreign as error:
            ledger().alerts.open(Alert(FOREIGN_REDIS, CONTRADICTION, EVERY_ACCOUNT, str(error)))
            raise
        ledger().alerts.close(FOREIGN_REDIS)

    def _fill(self, queue: str, room: int) -> bool:
        """Publish hints until the queue holds ``room`` messages; return whether it does now.

        A queue that was full before does not count: nobody reads it fast enough. Raises BROKER_AWAY
        if Redis is away. A queue that Redis refuses is only logged, so that it does not hold up the
        other queues.
        """
        try:
            length = self._keys.length(queue)
            hints = self._hints(queue, room - length, is_empty=length == 0)
            if hints:
                publish(hints)
            return 0 < len(hints) == room - length
        except BROKER_AWAY as error:
            if is_away(error):
                raise
            _log.error("cannot publish hints to the queue %s: %s", queue, error)
            return False

    def _hints(self, queue: str, free: int, *, is_empty: bool) -> list[Hint]:
        # Answers keep a share, so that callers are answered however many jobs are due.
        share = -(-free // _ANSWERS_SHARE)
        hints = self._answers(queue, share)
        is_short = len(hints) < share
        left = free - len(hints)
        hints += ledger().wakeups.due(queue, room=left, queue_is_empty=is_empty)
        return hints if is_short else hints + self._answers(queue, free - len(hints))

    def _mend_keys(self) -> None:
        try:
            self._keys.move_wrong_aside()
        except BROKER_AWAY as error:
            _log.warning("cannot check the keys of messages in hand: %s", error)

    def _announce_set_aside(self) -> None:
        try:
            if self._keys.are_absent:
                ledger().alerts.close(set_aside.CAUSE)
            else:
                set_aside.update_alert(self._app.backend.client, settings().redis_key(""))
        except BROKER_AWAY as error:
            _log.warning("cannot tell whether messages were set aside: %s", error)

    @staticmethod
    def _answers(queue: str, limit: int) -> list[Hint]:
        if queue != DUE or limit <= 0:
            return []
        return ledger().waiters.due(queue=queue, limit=limit)


def _expire_leases() -> None:
    for job in ledger().lease_expiry.take_from_the_dead():
        with bind(job_id=job.job_id, account=job.account):
            _log.warning("job %s: %s (takeover %d)", job.job_id, job.reason, job.takeovers)
        if not died(job):
            continue
        metrics.takeovers.labels(job.account).inc()


def _sweep_spool() -> None:
    spool().sweep(_SPOOL_SECONDS)
    spool().sweep_refused(_REFUSED_SECONDS)


def _report_future_times(found: Sequence[FutureTime]) -> None:
    if found:
        first = found[0]
        _log.warning(
            "%d times lay too far in the future (%s %s by %.0f s, ...): a clock was ahead; the "
            "jobs that waited for them are due now",
            len(found),
            first.what,
            first.name,
            first.seconds,
        )
