"""Marks tasks as answered once Celery has stored their outcome, many tasks in one transaction."""

from __future__ import annotations

import threading
import time

from .context import ledger
from .flusher import flusher

#: Added to the age of an outcome, for clocks and for the time that Celery took to store it.
_MARGIN_SECONDS = 0.5


class Answers:
    """The tasks whose outcome was stored and that are not marked as answered yet.

    If the process is killed before, they are answered once more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: When each outcome was stored, in monotonic seconds.
        self._stored_at: dict[str, float] = {}

    def add(self, task_id: str) -> None:
        """Have a task marked as answered soon."""
        with self._lock:
            self._stored_at[task_id] = time.monotonic()
        flusher.ask("answers", self.write)

    def write(self) -> None:
        """Mark the tasks as answered. Raises LedgerAway; call again then."""
        with self._lock:
            stored_at, self._stored_at = self._stored_at, {}
        if not stored_at:
            return
        age = time.monotonic() - min(stored_at.values())
        try:
            ledger().waiters.mark_answered(*stored_at, seconds=age + _MARGIN_SECONDS)
        except Exception:
            with self._lock:
                self._stored_at = {**stored_at, **self._stored_at}
            raise


answers = Answers()
