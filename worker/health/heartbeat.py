"""Heartbeats, by which ``earwitness health`` judges workers and beat.

Every second a process writes when it last did its work: a worker, when it last asked Redis for
messages, and of which queues; beat, when it last completed a tick. A ping proves neither, because
it arrives on a channel of its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import time
from dataclasses import replace

from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.settings import settings
from tasks.runtime.background import Background, StillRunning
from worker.redis.broker import consumption
from worker.redis.connecting import connected

from . import service_manager
from .heartbeat_files import DRAINING, STARTING, STOPPING, WORKING, Mark, write

_log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0
#: A worker asks every three seconds at least and beat ticks every five. After this silence, look
#: at Redis.
_LATE_SECONDS = 6.0
_REDIS_SECONDS = 2.0
#: How long the answer is waited for, which may hang before there is a connection (DNS).
_ANSWER_SECONDS = 3.0


class Heartbeat:
    """The mark of a process and the thread that renews it; the mark goes when the process ends."""

    def __init__(self) -> None:
        self._mark: Mark | None = None
        self._worked_at = float("-inf")
        self._is_logged = False
        self._stop = threading.Event()
        #: Set when the mark is to be written at once.
        self._is_changed = threading.Event()
        self._writing = threading.Lock()
        self._away_at: float | None = None
        self._ping = Ping()
        self._thread = threading.Thread(target=self._run, name="earwitness-heartbeat", daemon=True)

    def begin(self, kind: str, node: str) -> None:
        """Start the thread. ``kind`` is ``worker`` or ``beat``, ``node`` the node name."""
        self._mark = Mark(
            kind=kind,
            node=node,
            phase=STARTING,
            began_at=time.monotonic(),
            machine=socket.gethostname(),
        )
        self._thread.start()
        atexit.register(self.end)

    def ready(self, queues: frozenset[str] = frozenset()) -> None:
        """Note that the process works from now on; ``queues`` are those that a worker consumes."""
        self._worked_at = time.monotonic()
        self._change(phase=WORKING, queues=queues)
        service_manager.notify(service_manager.READY)

    def drained(self, is_drained: bool) -> None:
        """Note that a worker takes no work until further notice, or takes work again."""
        if self._mark is not None and self._mark.phase in (WORKING, DRAINING):
            self._worked_at = time.monotonic()
            consumption.note(set())
            self._change(phase=DRAINING if is_drained else WORKING)

    def worked(self) -> None:
        """Note that beat has completed a tick (a worker's consumption is observed instead)."""
        self._worked_at = time.monotonic()

    def stopping(self) -> None:
        """Note that the process takes no further work and finishes what it has."""
        self._change(phase=STOPPING)
        service_manager.notify(service_manager.STOPPING)

    def end(self) -> None:
        """Stop the thread and remove the mark."""
        service_manager.notify(service_manager.STOPPING)
        with self._writing:
            self._stop.set()
            self._is_changed.set()
            if self._mark is not None:
                self._mark.path(settings().spool_dir).unlink(missing_ok=True)

    def _change(self, **changes: object) -> None:
        if self._mark is not None:
            self._mark = replace(self._mark, **changes)  # type: ignore[arg-type]
            self._is_changed.set()

    def mark(self) -> Mark | None:
        """Return the mark as it is now; None before `begin`."""
        if self._mark is None:
            return None
        at, consumed = consumption.last
        worked_at = max(self._worked_at, at)
        return replace(
            self._mark,
            pid=os.getpid(),
            at=time.monotonic(),
            worked_at=worked_at if worked_at > 0 else None,
            consumed=consumed,
            redis_away_at=self._away_at,
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._beat()
                self._is_logged = False
            except OSError as error:
                if not self._is_logged:
                    _log.warning("heartbeats cannot be written: %s", error)
                self._is_logged = True
            # Also if the mark cannot be written: a restart mends no disk.
            self._tell_manager()
            self._is_changed.wait(_INTERVAL_SECONDS)
            self._is_changed.clear()

    def _tell_manager(self) -> None:
        """Feed systemd's watchdog, unless this process is stuck."""
        assert self._mark is not None
        phase = self._mark.phase
        worked_at = max(self._worked_at, consumption.last[0])
        if phase == STARTING:
            service_manager.notify(service_manager.STARTING)
        elif phase in (STOPPING, DRAINING) or not service_manager.is_stuck(
            worked_at, self._away_at
        ):
            service_manager.notify(service_manager.ALIVE)

    def _beat(self) -> None:
        """Look at Redis if the work is late, and write the mark."""
        mark = self.mark()
        assert mark is not None
        is_late = mark.at - (mark.worked_at or 0.0) > _LATE_SECONDS and mark.phase != DRAINING
        if is_late and not self._ping.is_answered():
            self._away_at = time.monotonic()
            mark = replace(mark, redis_away_at=self._away_at, at=self._away_at)
        with self._writing:
            if not self._stop.is_set():
                write(mark, settings().spool_dir)


class Ping:
    """Asks whether Redis answers, in a thread: a name that cannot be resolved may hang for long."""

    def __init__(self) -> None:
        self._question: Background[bool] | None = None

    def is_answered(self) -> bool:
        """Return whether Redis answers within three seconds. No question follows one that hangs."""
        if self._question is None:
            self._question = Background(redis_answers, "redis-ping")
        try:
            answered = self._question.result(_ANSWER_SECONDS)
        except StillRunning:
            return False
        self._question = None
        return answered


def redis_answers() -> bool:
    """Return whether Redis answers a ping of this process within two seconds."""
    try:
        with connected(
            settings(),
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return bool(client.ping())
    except (RedisError, OSError):
        return False


heartbeat = Heartbeat()
