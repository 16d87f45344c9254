"""Values that scrapes read from elsewhere, bounded in time and in number."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

#: Nothing is read more often than this, however often scrapers ask.
LIFETIME_SECONDS = 5.0
#: How long a scrape waits for a reading, from the reading's beginning.
_WAIT_SECONDS = 2.0

Value = TypeVar("Value")


class Reading(Generic[Value]):
    """A value that is a few seconds old at most; None if it could not be read in time.

    A separate thread reads it, one at a time, because what is frozen may hold it for long.
    Parameters: ``read`` returns the value, or raises; ``missing``, what the metrics lack without
    it, for the log; ``expected``, errors that are logged in one line, and once until the next
    success.
    """

    def __init__(
        self,
        read: Callable[[], Value],
        missing: str,
        *,
        expected: tuple[type[Exception], ...] = (),
        lifetime_seconds: float = LIFETIME_SECONDS,
    ) -> None:
        self._read_value = read
        self._missing = missing
        self._expected = expected
        self._lifetime = lifetime_seconds
        self._lock = threading.Lock()
        self._running: threading.Event | None = None
        self._began_at = 0.0
        self._value: Value | None = None
        self._has_failed = False
        self._read_at = float("-inf")

    def refresh(self) -> threading.Event | None:
        """Begin to read if the value is too old; return the event that ends a running reading."""
        with self._lock:
            if self._running is None and time.monotonic() - self._read_at >= self._lifetime:
                self._running, self._began_at = threading.Event(), time.monotonic()
                threading.Thread(
                    target=self._read, args=(self._running,), name="earwitness-reading", daemon=True
                ).start()
            return self._running

    def value(self) -> Value | None:
        """Return the value, None if it cannot be read, or not in time."""
        running = self.refresh()
        left = self._began_at + _WAIT_SECONDS - time.monotonic()
        if running is not None and not running.wait(max(left, 0.0)):
            return None
        return self._value

    def _read(self, over: threading.Event) -> None:
        value = None
        try:
            value = self._read_value()
        except self._expected as error:
            level = logging.DEBUG if self._has_failed else logging.WARNING
            _log.log(level, "the metrics lack %s: %s", self._missing, error)
        except Exception:  # noqa: BLE001 - logged; the other metrics are still served
            _log.exception("the metrics lack %s", self._missing)
        with self._lock:
            self._value, self._read_at, self._running = value, time.monotonic(), None
            self._has_failed = value is None
        over.set()
