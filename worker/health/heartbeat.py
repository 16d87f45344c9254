"""Heartbeats, by which ``python -m worker health`` judges workers and beat.

Every second a process writes when it last did its work: a worker, when it last asked Redis for
messages, and of which queues; beat, when it last completed a tick. A ping proves neither, because
it arrives on a channel of its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from dataclasses import replace

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from config.settings import settings
from worker.redis.broker import consumption

from .heartbeat_files import Mark, write
from .service_manager import ALIVE, READY, STARTING, STOPPING, is_stuck, notify

_log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0
#: A worker asks every three seconds at least and beat ticks every five. After this silence, look
#: at Redis.
_LATE_SECONDS = 6.0
_REDIS_SECONDS = 2.0


class Heartbeat:
    """The mark of a process and the thread that renews it; the mark goes when the process ends."""

    def __init__(self) -> None:
        self._mark: Mark | None = None
        self._worked_at = float("-inf")
        self._is_logged = False
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="earwitness-heartbeat", daemon=True)

    def begin(self, kind: str, node: str) -> None:
        """Start the thread. ``kind`` is ``worker`` or ``beat``, ``node`` the node name."""
        self._mark = Mark(kind=kind, node=node, phase="starting", began_at=time.monotonic())
        self._thread.start()
        atexit.register(self.end)

    def ready(self, queues: frozenset[str] = frozenset()) -> None:
        """Note that the process works from now on; ``queues`` are those that a worker consumes."""
        self._worked_at = time.monotonic()
        self._change(phase="working", queues=queues)
        notify(READY)

    def worked(self) -> None:
        """Note that beat has completed a tick (a worker's consumption is observed instead)."""
        self._worked_at = time.monotonic()

    def stopping(self) -> None:
        """Note that the process takes no further work and finishes what it has."""
        self._change(phase="stopping")
        notify(STOPPING)

    def end(self) -> None:
        """Stop the thread and remove the mark."""
        notify(STOPPING)
        with self._writing:
            self._stop.set()
            if self._mark is not None:
                self._mark.path(settings().spool_dir).unlink(missing_ok=True)

    def _change(self, **changes: object) -> None:
        if self._mark is not None:
            self._mark = replace(self._mark, **changes)  # type: ignore[arg-type]

    def _run(self) -> None:
        away_at: float | None = None
        while not self._stop.is_set():
            try:
                away_at = self._beat(away_at)
                self._is_logged = False
            except OSError as error:
                if not self._is_logged:
                    _log.warning("heartbeats cannot be written: %s", error)
                self._is_logged = True
            # Also if the mark cannot be written: a restart mends no disk.
            self._tell_manager(away_at)
            self._stop.wait(_INTERVAL_SECONDS)

    def _tell_manager(self, away_at: float | None) -> None:
        """Feed systemd's watchdog, unless this process is stuck."""
        assert self._mark is not None
        phase = self._mark.phase
        if phase == "starting":
            notify(STARTING)
        elif phase == "stopping" or not is_stuck(self._last_work(), away_at):
            notify(ALIVE)

    def _last_work(self) -> float:
        """Return when this process last worked, in monotonic seconds."""
        return max(self._worked_at, consumption.last[0])

    def _beat(self, away_at: float | None) -> float | None:
        """Write the mark; return when Redis was last seen away, in monotonic seconds, or None."""
        assert self._mark is not None
        at, consumed = consumption.last
        worked_at = max(self._worked_at, at)
        late = time.monotonic() - worked_at > _LATE_SECONDS
        if late and not redis_answers():
            away_at = time.monotonic()
        now = time.monotonic()
        mark = replace(
            self._mark,
            pid=os.getpid(),
            at=now,
            worked_at=worked_at if worked_at > 0 else None,
            consumed=consumed,
            redis_away_at=away_at,
        )
        with self._writing:
            if not self._stop.is_set():
                write(mark, settings().spool_dir)
        return away_at


def redis_answers() -> bool:
    """Return whether Redis answers a ping of this process within two seconds."""
    address = settings().redis_url.get_secret_value()
    try:
        with Redis.from_url(
            address,
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return bool(client.ping())
    except (RedisError, OSError):
        return False


heartbeat = Heartbeat()
