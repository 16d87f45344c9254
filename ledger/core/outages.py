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
        #: The operations that run now, by thread, and when each was asked for.
        self._asked: dict[int, float] = {}
        self._answered_at = time.monotonic()
        self._over: deque[tuple[float, float]] = deque(maxlen=_MOST_KEPT)

    def asked(self) -> float:
        """Record that this thread asks for an operation now; return the time."""
        asked_at = time.monotonic()
        # An operation within another one counts as a part of it.
        return self._asked.setdefault(threading.get_ident(), asked_at)

    def failed(self, asked_at: float) -> None:
        """Record that an operation failed that was asked for at ``asked_at``."""
        self._asked.pop(threading.get_ident(), None)
        with self._lock:
            if self._since is None:
                self._since = asked_at

    def answered(self, asked_at: float) -> None:
        """Record that an operation succeeded that was asked for at ``asked_at``."""
        self._asked.pop(threading.get_ident(), None)
        self._answered_at = now = time.monotonic()
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

    def ended(self) -> None:
        """Record that an operation ended by an error that says nothing about the ledger."""
        self._asked.pop(threading.get_ident(), None)

    def lasting(self) -> float:
        """Return for how many seconds the ledger has not answered; 0 while it does.

        An operation that has not come back counts from the moment at which it was asked for, if no
        other was answered since.
        """
        since, answered_at = self._since, self._answered_at
        begins = [at for at in list(self._asked.values()) if at > answered_at]
        if since is not None:
            begins.append(since)
        return time.monotonic() - min(begins) if begins else 0.0

    def any_between(self, first: float, last: float) -> bool:
        """Return whether the ledger was away at any moment from ``first`` to ``last``."""
        with self._lock:
            spans = list(self._over)
            if self._since is not None:
                spans.append((self._since, float("inf")))
        return any(begin <= last and end >= first for begin, end in spans)
