"""A cache of the ledger's statistics for scrapes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ledger.errors import LedgerError
from ledger.stats import Stats

_log = logging.getLogger(__name__)

#: The ledger is read no more often than this, however often scrapers ask.
_LIFETIME_SECONDS = 5.0
#: How long a scrape waits for the ledger.
_WAIT_SECONDS = 2.0


class StatsCache:
    """The ledger's statistics, a few seconds old at most; None if the ledger does not answer.

    A separate thread reads the ledger, one at a time, because a frozen ledger may hold it for long.
    """

    def __init__(self, read_stats: Callable[[], Stats]) -> None:
        self._read_stats = read_stats
        self._lock = threading.Lock()
        self._running: threading.Event | None = None
        self._stats: Stats | None = None
        self._has_failed = False
        self._read_at = -_LIFETIME_SECONDS

    def stats(self) -> Stats | None:
        """Return the statistics, None if the ledger does not answer in time."""
        with self._lock:
            if self._running is None and time.monotonic() - self._read_at >= _LIFETIME_SECONDS:
                self._running = threading.Event()
                threading.Thread(
                    target=self._read, args=(self._running,), name="earwitness-stats", daemon=True
                ).start()
            running = self._running
        if running is not None and not running.wait(_WAIT_SECONDS):
            return None
        return self._stats

    def _read(self, over: threading.Event) -> None:
        stats = None
        try:
            stats = self._read_stats()
        except LedgerError as error:
            # Warn once, not at every scrape until the ledger answers again.
            level = logging.DEBUG if self._has_failed else logging.WARNING
            _log.log(level, "the metrics lack the ledger's part: %s", error)
        except Exception:  # noqa: BLE001 - logged; the other metrics are still served
            _log.exception("the metrics lack the ledger's part")
        with self._lock:
            self._stats, self._read_at, self._running = stats, time.monotonic(), None
            self._has_failed = stats is None
        over.set()
