"""Check of unanswered requests: does any worker listen on their queue?"""

from __future__ import annotations

import time
from collections.abc import Sequence

from .operations import Steps
from .redis_faults import AWAY
from .stored import Stored
from .worker_queue import WorkerQueue

#: A running worker writes its presence within seconds, also after Redis was emptied.
_ABSENCE_SECONDS = 10.0
_CHECK_SECONDS = 1.0


class ListenerCheck:
    """Watches for a listening worker while no awaited request has a state."""

    def __init__(self, queue: WorkerQueue) -> None:
        self._queue = queue
        self._checked_at = float("-inf")
        self._absent_since: float | None = None
        self._waiting = 0

    @property
    def is_suspicious(self) -> bool:
        """Whether no worker seems ever to have listened."""
        return self._absent_since is not None

    def is_alone(self, states: Sequence[Stored] | None) -> Steps[bool]:
        """Consider the requests' states, which are None if Redis does not answer.

        Return whether no worker has ever listened for ten seconds: the requests stay in the queue,
        and waiting longer does not help. While workers are only absent, the wait continues.
        """
        if states is None or any(states):
            self._absent_since = None
            return False
        now = time.monotonic()
        if now - self._checked_at < _CHECK_SECONDS:
            return False
        self._checked_at = now
        if not (yield from self._was_never_consumed()):
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = now
        return self._absent_since is not None and now - self._absent_since >= _ABSENCE_SECONDS

    def why(self) -> Steps[str]:
        """Return a clause for error messages that no worker listens; empty if one does."""
        try:
            if (yield from self._queue.listeners()) != "now":
                return f"no worker listens on this Redis ({self._queue.place}) now; "
        except AWAY:
            pass
        return ""

    def _was_never_consumed(self) -> Steps[bool]:
        """Return whether no worker was ever here, by the workers' keys and by the queue's length.

        A worker that writes no keys still takes messages from the queue.
        """
        try:
            if (yield from self._queue.listeners()) != "never":
                return False
            waiting = yield from self._queue.queued()
        except AWAY:
            return False
        is_taken = waiting < max(self._waiting, 1)
        self._waiting = waiting
        return not is_taken
