"""Polling for results, and recovery of requests that Redis has lost.

A subscription to the result would end with its connection without notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from redis.exceptions import RedisError

from .broker import Broker
from .errors import NotSent
from .listeners import ListenerCheck
from .request import Request
from .stored import Stored

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.02, 1.0
#: The time without a state before the recovery acts: at first, and at most.
_FIRST_RECOVERY_SECONDS, _MAX_RECOVERY_SECONDS = 5.0, 60.0

#: The errors of reading while Redis is away.
AWAY = (RedisError, OSError)


class Recovery:
    """Acts when a request has no state.

    It acts at once if Redis has lost a state that was there before; otherwise after 5 seconds, and
    then at growing intervals of up to a minute.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._pause = _FIRST_RECOVERY_SECONDS
        self._due = time.monotonic() + self._pause
        self._has_state = False

    def observe(self, stored: Stored) -> None:
        """Consider the request's state, and act if that is due."""
        now = time.monotonic()
        if stored and stored["status"] != "STARTED":
            self._has_state = True
            self._pause = _FIRST_RECOVERY_SECONDS
            self._due = now + self._pause
        elif self._has_state and not stored:
            self._has_state = False
            self._due = now
        if now >= self._due:
            self._due = now + self._pause
            self._pause = min(2 * self._pause, _MAX_RECOVERY_SECONDS)
            self._act()


def poll(
    broker: Broker, task_id: str, timeout: float, recovery: Recovery, listeners: ListenerCheck
) -> Iterator[Stored]:
    """Yield a task's state, with growing pauses, until ``timeout`` seconds have passed.

    The state is read once more at the end. It is empty if nothing is stored or Redis does not
    answer. Raises NotAnswered if no worker has ever listened.
    """
    until = time.monotonic() + timeout
    pause = _FIRST_PAUSE_SECONDS
    while True:
        stored = read_stored(broker, task_id)
        yield stored or {}
        if time.monotonic() >= until:
            return
        listeners.observe(stored)
        if stored is not None:
            recovery.observe(stored)
        time.sleep(max(0.0, min(pause, until - time.monotonic())))
        pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)


def read_stored(broker: Broker, task_id: str) -> Stored | None:
    """Return a task's state, empty if nothing is stored, None if Redis does not answer."""
    try:
        return broker.stored(task_id) or {}
    except AWAY:
        return None


def is_queue_empty(broker: Broker) -> bool:
    """Return whether no message waits for a worker; False if Redis does not answer."""
    try:
        return broker.queued() == 0
    except AWAY:
        return False


def send_quietly(broker: Broker, request: Request) -> None:
    """Send a request and ignore a failure, since the recovery tries again."""
    try:
        broker.send(request)
    except NotSent:
        return
