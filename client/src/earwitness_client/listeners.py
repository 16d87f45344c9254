"""Why nothing is heard of a request: whether a worker listens where it was sent."""

from __future__ import annotations

import time

from redis.exceptions import RedisError

from .broker import Line
from .errors import NotAnswered
from .request import Request
from .stored import Stored

#: A worker that is there shows itself within seconds, also after Redis was emptied.
_NOBODY_SECONDS = 10.0
_LOOK_SECONDS = 1.0


class Silence:
    """Watches Redis while nothing is heard of a request."""

    def __init__(self, line: Line, request: Request) -> None:
        self._line = line
        self._request = request
        self._looked_at = float("-inf")
        self._nobody_since: float | None = None
        self._waiting = 0

    def hear(self, stored: Stored | None) -> None:
        """Judge what was just found for the request; None where Redis does not answer.

        Raises NotAnswered where no worker has ever listened: the request lies there, and waiting
        longer does not help. Where workers are only away, the wait goes on.
        """
        if stored or stored is None:
            self._nobody_since = None
            return
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        if not self._nobody_was_ever_here():
            self._nobody_since = None
        elif self._nobody_since is None:
            self._nobody_since = now
        elif now - self._nobody_since >= _NOBODY_SECONDS:
            raise NotAnswered(
                f"unknown: {self._request.task} was not answered: no worker listens on this Redis "
                f"({self._line.place}), and none ever did; the request lies there and is done when "
                "one comes; if the worker uses another address, database or key prefix, give the "
                f"client the same, and {self._request.repetition}"
            )

    @property
    def why(self) -> str:
        """Words for the end of a sentence that nothing was heard; empty where nothing is wrong."""
        try:
            if self._line.listeners() != "now":
                return f"no worker listens on this Redis ({self._line.place}) now; "
        except (RedisError, OSError):
            pass
        return ""

    def _nobody_was_ever_here(self) -> bool:
        """By what workers show, and by the queue, from which a worker takes that shows nothing."""
        try:
            if self._line.listeners() != "never":
                return False
            waiting = self._line.queued()
        except (RedisError, OSError):
            return False
        is_taken = waiting < max(self._waiting, 1)
        self._waiting = waiting
        return not is_taken
