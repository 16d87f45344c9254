"""The sweeper: a worker's periodic maintenance.

Each loop needs one thing: the ledger, Redis, the archive, the spool or the receiver of alerts. So
while one of these hangs, jobs of dead workers are still taken over, and all else is still done. The
bootstep belongs to the *worker*, because steps of the consumer stop while Redis is away.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from celery import bootsteps

from archive.store.guarded import requests
from config.logging import bind
from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import settings
from ledger.alerts import CONTRADICTION, EVERY_ACCOUNT, Alert
from ledger.core.future_times import FutureTime
from ledger.core.held import ARCHIVE
from ledger.core.lease_expiry import died
from ledger.core.wakeups import Hint
from ledger.errors import Foreign, LedgerError
from tasks.archive_watch.watch import Watch
from tasks.runtime import metrics
from tasks.runtime.alerts import FOREIGN_REDIS, deliver_due
from tasks.runtime.context import ledger, spool, stopping
from tasks.runtime.corrected_accounts import try_again_after_start
from tasks.runtime.deliveries import MOST_A_ROUND, deliver_notifications
from tasks.runtime.ledger_alert import LedgerAlert
from tasks.runtime.messages import publish
from tasks.runtime.outbox import BATCH, Needs, discharge_due
from tasks.runtime.redis_errors import BROKER_AWAY, is_away
from tasks.transfers.orphans import Orphans

from . import stop_limit
from .health.heartbeat import heartbeat
from .loops import Loop, loops
from .redis import set_aside
from .redis.presence import Presence
from .redis.queue_keys import QueueKeys
from .redis.unknown_tasks import unknown
from .startup_checks import claim_redis, comparison_pending, notice_older_ledger

_log = logging.getLogger(__name__)

#: Hints in a queue for each thread that takes them; the backlog stays in the ledger.
_HINTS_PER_SLOT = 4
#: How long a worker that stops waits for the rounds of its loops.
_STOP_SECONDS = 5.0
#: The look at held jobs takes at most one part in so many of the time.
_HELD_SHARE = 50
#: One hint in so many is reserved for answers.
_ANSWERS_SHARE = 4
#: A partial download untouched for so long is abandoned.
_SPOOL_SECONDS = 7 * 86_400.0
#: How long refused files are kept for a person to look at (docs/operations.md).
_REFUSED_SECONDS = 90 * 86_400.0
_orphans = Orphans()


class Sweeper(bootsteps.StartStopStep):
    """Starts and stops the threads with the worker."""

    requires: ClassVar = {"celery.worker.components:Pool"}

    def start(self, parent: Any) -> None:
        """Start the threads."""
        rounds = Rounds(parent.app, slots=parent.concurrency or 1)
        presence = Presence(parent.hostname)
        watch = ArchiveWatch()
        loops.start(
            (
                Loop("leases", "the ledger", rounds.keep_ledger),
                Loop("sweeper", "Redis", rounds.sweep),
                Loop("alerts", "the receiver of alerts", deliver_due),
                Loop("deliveries", "the receivers of webhooks", _deliver),
                Loop("receipts", "the archive", partial(_discharge, Needs.ARCHIVE)),
                Loop("notifications", "Redis or the archive", partial(_discharge, Needs.BROKER)),
                Loop("archive", "the archive", watch.look),
                Loop("spool", "the spool", _sweep_spool),
                Loop("presence", "Redis", lambda: presence.announce(parent.app.backend.client)),
                Loop("outage", "the receiver of alerts", LedgerAlert(parent.hostname).look),
            )
        )

    def stop(self, _parent: Any) -> None:
        """Stop the threads, and have running tasks give their jobs back.

        The signal handler does this too, but remote control ends a worker without a signal.
        """
        stopping.set()
        heartbeat.stopping()
        stop_limit.begin()
        for name in loops.stop(_STOP_SECONDS):
            _log.warning("the loop '%s' has not ended; the worker stops without it", name)


class ArchiveWatch:
    """The loop that looks at the archive."""

    def __init__(self) -> None:
        self._watch = Watch()

    def look(self) -> None:
        """Check the archive, and compare the ledger with it if the start could not."""
        if self._watch.look() and comparison_pending.is_set():
            notice_older_ledger()


class Rounds:
    """The rounds of the loops that keep the ledger in order and publish hints."""

    def __init__(self, app: Any, *, slots: int) -> None:
        self._app = app
        self._is_first = True
        self._are_accounts_compared = False
        self._keys = QueueKeys(app)
        self._identity: str | None = None
        self._is_redis_away = False
        self._whole = (self._announce_first, self._mend_keys, self._announce_set_aside)
        self._busy = (self._announce,)
        self._next_whole = 0.0
        self._next_held = 0.0
        self._room = {
            FRONT_DOOR: 0,
            DUE: _HINTS_PER_SLOT * slots,
            DOWNLOADS: _HINTS_PER_SLOT * settings().transfers_per_worker,
        }

    def keep_ledger(self) -> bool:
        """Take jobs from dead workers, and do all else that needs nothing but the ledger.

        Return whether there is more to do at once. Raises LedgerError.
        """
        steps = (
            self._mend_future_times,
            _set_hung_aside,
            _expire_leases,
            unknown.open_alert,
            self._update_held,
            _write_alerts,
            self._compare_accounts,
        )
        return sum(self._carry_out(step) for step in steps) > 0

    def sweep(self) -> bool:
        """Do one round of hints; return whether there is more to do at once.

        A whole round also repairs keys in Redis. While there are more hints to publish, rounds of
        hints alone follow each other, and a whole one is done every few seconds and at the end.

        A step that fails, however often, does not hold up the others. Raises LedgerError.
        """
        is_whole = time.monotonic() >= self._next_whole
        if is_whole:
            self._next_whole = time.monotonic() + settings().sweep_seconds
        has_more = False
        self._is_redis_away = False
        for step in self._whole if is_whole else self._busy:
            has_more |= self._carry_out(step)
            if self._is_redis_away:
                return False  # each further step would wait for Redis, too
        if not has_more:
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

    def _update_held(self) -> None:
        # Every waiting job is looked at: with many of them, less often.
        began = time.monotonic()
        if began >= self._next_held:
            ledger().held_jobs.update_alerts()
            self._next_held = began + _HELD_SHARE * (time.monotonic() - began)

    def _compare_accounts(self) -> None:
        # Only while the ledger is away is it worth another try.
        if not self._are_accounts_compared:
            self._are_accounts_compared = True
            try:
                try_again_after_start()
            except LedgerError:
                self._are_accounts_compared = False
                raise

    def _mend_future_times(self) -> None:
        # Clocks are rarely wrong, and one kind of times is found only by reading every waiting job:
        # after the start, each round looks for one kind.
        times = ledger().future_times
        _report_future_times(times.mend() if self._is_first else times.mend_in_turn())
        self._is_first = False

    def _announce_first(self) -> bool:
        self._claim()
        return not self._is_redis_away and self._announce()

    def _announce(self) -> bool:
        """Publish hints; return whether a queue took as many as it may hold."""
        try:
            self._keys.look()
            return sum(self._fill(queue, room) for queue, room in self._room.items()) > 0
        except BROKER_AWAY as error:
            self._note_away(error, "hints wait for Redis: %s")
            return False

    def _claim(self) -> None:
        # Redis may have been flushed: write the identity again.
        if self._identity is None:
            self._identity = ledger().identity.identity()
        try:
            self._is_redis_away = not claim_redis(self._app, self._identity)
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
            self._note_away(error, "cannot check the keys of messages in hand: %s")

    def _announce_set_aside(self) -> None:
        try:
            if self._keys.are_absent:
                ledger().alerts.close(set_aside.CAUSE)
            else:
                set_aside.update_alert(self._app.backend.client, settings().redis_key(""))
        except BROKER_AWAY as error:
            self._note_away(error, "cannot tell whether messages were set aside: %s")

    def _note_away(self, error: BaseException, message: str) -> None:
        _log.warning(message, error)
        self._is_redis_away = is_away(error)

    @staticmethod
    def _answers(queue: str, limit: int) -> list[Hint]:
        if queue != DUE or limit <= 0:
            return []
        return ledger().waiters.due(queue=queue, limit=limit)


def _deliver() -> bool:
    return deliver_notifications() >= MOST_A_ROUND


def _discharge(needs: Needs) -> bool:
    return discharge_due(needs) >= BATCH


def _write_alerts() -> bool:
    return _discharge(Needs.LEDGER)


def _set_hung_aside() -> None:
    """Let the jobs wait whose attempts wait in this process for an archive that does not answer."""
    waiting = requests.waiting()
    for lease in ledger().leases.silent(waiting.keys()):
        seconds = waiting[lease.thread]
        if ledger().lease_expiry.set_aside(lease, ARCHIVE, seconds, again=_again):
            with bind(job_id=lease.job_id):
                _log.warning("the archive has not answered for %.0f s; the job waits", seconds)


def _again(times: int) -> float:
    """Return the pause, in seconds, before the next try of a job that was set aside so often."""
    return min(settings().poll_first_seconds * 2.0 ** min(times, 32), settings().poll_max_seconds)


def _expire_leases() -> None:
    for job in ledger().lease_expiry.take_from_the_dead():
        with bind(job_id=job.job_id, account=job.account):
            _log.warning("job %s: %s (takeover %d)", job.job_id, job.reason, job.takeovers)
        if not died(job):
            continue
        metrics.takeovers.labels(job.account).inc()


def _sweep_spool() -> None:
    _orphans.remove()
    spool().sweep(_SPOOL_SECONDS)
    spool().sweep_refused(_REFUSED_SECONDS)


def _report_future_times(found: Sequence[FutureTime]) -> None:
    if found:
        first, count = found[0], len(found)
        _log.warning(
            "%s too far in the future (%s %s by %.0f s%s): a clock was ahead; the jobs that waited "
            "for %s are due now",
            "1 timestamp was" if count == 1 else f"{count} timestamps were",
            first.what,
            first.name,
            first.seconds,
            "" if count == 1 else ", ...",
            "it" if count == 1 else "them",
        )
