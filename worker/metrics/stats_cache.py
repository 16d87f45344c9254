"""Asking the ledger for a scrape: seldom, and never for longer than a scraper waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ledger.errors import LedgerError
from ledger.stats import Stats

_log = logging.getLogger(__name__)

#: However often a scraper asks, the ledger is asked no more often than this.
_KEPT_SECONDS = 5.0
#: A scrape waits no longer for the ledger.
_PATIENCE_SECONDS = 2.0


class Asked:
    """The ledger's figures, a few seconds old at most, or None where it does not answer in time.

    It is asked by a thread that nobody has to wait for: a ledger that is frozen keeps it for long.
    There is one at a time.
    """

    def __init__(self, ask: Callable[[], Stats]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None
        self._seen: Stats | None = None
        self._is_missed = False
        self._seen_at = -_KEPT_SECONDS

    def figures(self) -> Stats | None:
        """What the ledger says."""
        with self._lock:
            if self._asking is None and time.monotonic() - self._seen_at >= _KEPT_SECONDS:
                self._asking = threading.Event()
                threading.Thread(
                    target=self._look, args=(self._asking,), name="earwitness-figures", daemon=True
                ).start()
            asking = self._asking
        if asking is not None and not asking.wait(_PATIENCE_SECONDS):
            return None
        return self._seen

    def _look(self, over: threading.Event) -> None:
        seen = None
        try:
            seen = self._ask()
        except LedgerError as error:
            # Once, not at every scrape until it is back.
            level = logging.DEBUG if self._is_missed else logging.WARNING
            _log.log(level, "the metrics lack what the ledger knows: %s", error)
        except Exception:  # noqa: BLE001 - logged; the rest of the metrics is worth a scrape
            _log.exception("the metrics lack what the ledger knows")
        with self._lock:
            self._seen, self._seen_at, self._asking = seen, time.monotonic(), None
            self._is_missed = seen is None
        over.set()
