"""Check of an unanswered request: does any worker listen on its queue?"""

from __future__ import annotations

import time

from redis.exceptions import RedisError

from .broker import Broker
from .errors import NotAnswered
from .request import Request
from .stored import Stored

#: A running worker writes its presence within seconds, also after Redis was emptied.
_ABSENCE_SECONDS = 10.0
_CHECK_SECONDS = 1.0


class ListenerCheck:
    """Watches for a listening worker while a request has no state."""

    def __init__(self, broker: Broker, request: Request) -> None:
        self._broker = broker
        self._request = request
        self._checked_at = float("-inf")
        self._absent_since: float | None = None
        self._waiting = 0

    def observe(self, stored: Stored | None) -> None:
        """Consider the request's state, which is None if Redis does not answer.

        Raises NotAnswered if no worker has ever listened: the request stays in the queue, and
        waiting longer does not help. While workers are only away, the wait goes on.
        """
        if stored or stored is None:
            self._absent_since = None
            return
        now = time.monotonic()
        if now - self._checked_at < _CHECK_SECONDS:
            return
        self._checked_at = now
        if not self._was_never_consumed():
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = now
        elif now - self._absent_since >= _ABSENCE_SECONDS:
            raise NotAnswered(
                f"unknown: {self._request.task} was not answered: no worker listens on this Redis "
                f"({self._broker.address}), and none ever did; the request stays queued until "
                "one starts; if the worker uses another address, database or key prefix, give "
                f"the client the same, and {self._request.repetition}"
            )

    @property
    def why(self) -> str:
        """A clause for error messages that no worker listens; empty if one does."""
        try:
            if self._broker.listeners() != "now":
                return f"no worker listens on this Redis ({self._broker.address}) now; "
        except (RedisError, OSError):
            pass
        return ""

    def _was_never_consumed(self) -> bool:
        """Return whether no worker was ever here, by the workers' keys and by the queue's length.

        A worker that writes no keys still takes messages from the queue.
        """
        try:
            if self._broker.listeners() != "never":
                return False
            waiting = self._broker.queued()
        except (RedisError, OSError):
            return False
        is_taken = waiting < max(self._waiting, 1)
        self._waiting = waiting
        return not is_taken
