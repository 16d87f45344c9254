"""The times at which the ledger did not answer this process."""

from __future__ import annotations

import threading
import time
from collections import deque

#: An operation that takes longer found the ledger away for a while: a frozen database answers once
#: it is thawed, and no error shows that it did not answer before.
_SLOW_SECONDS = 2.0
#: Older ones than these no longer matter: a lease lasts seconds.
_MOST_KEPT = 32


class Outages:
    """The latest outages of the ledger, as this process saw them, in monotonic seconds.

    An outage begins when the first operation that failed was asked for, and lasts until an
    operation succeeds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._over: deque[tuple[float, float]] = deque(maxlen=_MOST_KEPT)

    def failed(self, asked_at: float) -> None:
        """Record that an operation failed that was asked for at ``asked_at``."""
        with self._lock:
            if self._since is None:
                self._since = asked_at

    def answered(self, asked_at: float) -> None:
        """Record that an operation succeeded that was asked for at ``asked_at``."""
        now = time.monotonic()
        is_slow = now - asked_at > _SLOW_SECONDS
        if self._since is None and not is_slow:
            return
        with self._lock:
            begins = [asked_at] if is_slow else []
            if self._since is not None:
                begins.append(self._since)
            if begins:
                self._over.append((min(begins), now))
            self._since = None

    def lasting(self) -> float:
        """Return for how many seconds the ledger has not answered; 0 while it does."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def any_between(self, first: float, last: float) -> bool:
        """Return whether the ledger was away at any moment from ``first`` to ``last``."""
        with self._lock:
            spans = list(self._over)
            if self._since is not None:
                spans.append((self._since, float("inf")))
        return any(begin <= last and end >= first for begin, end in spans)
