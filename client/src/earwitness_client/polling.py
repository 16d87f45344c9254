"""Waiting by looking again and again, and asking anew for what Redis has lost.

A subscription to the result would end with the connection it runs on, and nothing would say so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from redis.exceptions import RedisError

from .broker import Line
from .errors import NotSent
from .listeners import Silence
from .request import Request
from .stored import Stored

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 1.0
#: How long nothing may be heard before something is done about it, the first time and at most.
_FIRST_DOUBT_SECONDS, _LONGEST_DOUBT_SECONDS = 5.0, 60.0

#: What Redis' absence looks like to whoever only looks.
AWAY = (RedisError, OSError)


class Doubt:
    """Does something about a request of which nothing is heard: at once where something was heard
    before and Redis has forgotten it, else after 5 seconds, and then ever more seldom.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._pause = _FIRST_DOUBT_SECONDS
        self._due = time.monotonic() + self._pause
        self._heard = False

    def hear(self, stored: Stored) -> None:
        """Judge what was just found."""
        now = time.monotonic()
        if stored and stored["status"] != "STARTED":
            self._heard = True
            self._pause = _FIRST_DOUBT_SECONDS
            self._due = now + self._pause
        elif self._heard and not stored:
            self._heard = False
            self._due = now
        if now >= self._due:
            self._due = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_DOUBT_SECONDS)
            self._act()


def watched(
    line: Line, task_id: str, timeout: float, doubt: Doubt, silence: Silence
) -> Iterator[Stored]:
    """What is stored for a task, in growing pauses until the time is over, the end included; empty
    where nothing is stored or Redis does not answer. Raises NotAnswered where no worker ever was.
    """
    until = time.monotonic() + timeout
    pause = _FIRST_PAUSE_SECONDS
    while True:
        stored = look(line, task_id)
        yield stored or {}
        if time.monotonic() >= until:
            return
        silence.hear(stored)
        if stored is not None:
            doubt.hear(stored)
        time.sleep(max(0.0, min(pause, until - time.monotonic())))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def look(line: Line, task_id: str) -> Stored | None:
    """What is stored for a task, empty where that is nothing; None where Redis does not answer."""
    try:
        return line.stored(task_id) or {}
    except AWAY:
        return None


def drained(line: Line) -> bool:
    """Whether no message waits for a worker; not, where Redis does not answer."""
    try:
        return line.queued() == 0
    except AWAY:
        return False


def send_quietly(line: Line, request: Request) -> None:
    """Send, or leave it to the next time."""
    try:
        line.send(request)
    except NotSent:
        return
