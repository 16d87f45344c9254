"""Writes to Redis and to the ledger that may wait for some milliseconds, so that many become one.

Acknowledgements, events and the marks of answered tasks are such writes. A thread of their own
carries them out: neither the thread that receives messages nor that of a task waits for them, and
they continue while Celery reconnects or shuts down.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from config.masking import masked_error

from . import metrics

_log = logging.getLogger(__name__)

#: How long a write waits for others.
PAUSE_SECONDS = 0.05
#: How long a write that failed waits until it is tried again.
_RETRY_SECONDS = 1.0

Write = Callable[[], None]


class Flusher:
    """Carries out writes a moment after they were asked for, each once for all who asked.

    A write that fails is logged once for each cause, counted, and tried again.
    """

    def __init__(self) -> None:
        #: The writes that were asked for, and their names.
        self._asked: dict[Write, str] = {}
        self._lock = threading.Lock()
        self._is_asked = threading.Event()
        self._causes: dict[str, str] = {}
        self._thread: threading.Thread | None = None

    def ask(self, name: str, write: Write) -> None:
        """Have ``write`` called soon; ``name`` stands for it in the log and in the metrics."""
        with self._lock:
            self._asked[write] = name
            self._is_asked.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="earwitness-flusher", daemon=True
                )
                self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._is_asked.is_set()

    def flush(self) -> bool:
        """Carry out what was asked for; return False if something failed, which stays asked for."""
        with self._lock:
            asked, self._asked = self._asked, {}
            self._is_asked.clear()
        failed = {write: name for write, name in asked.items() if not self._succeeds(name, write)}
        with self._lock:
            self._asked = {**failed, **self._asked}
            if self._asked:
                self._is_asked.set()
        return not failed

    def _run(self) -> None:
        while True:
            self._is_asked.wait()
            time.sleep(PAUSE_SECONDS)
            while not self.flush():
                time.sleep(_RETRY_SECONDS)

    def _succeeds(self, name: str, write: Write) -> bool:
        try:
            write()
        except Exception as error:  # noqa: BLE001 - logged, counted and tried again
            metrics.flushes_failed.labels(name).inc()
            cause = type(error).__name__
            if self._causes.get(name) != cause:
                _log.warning(
                    "%s could not be written, will retry in a second: %s", name, masked_error(error)
                )
            self._causes[name] = cause
            return False
        if self._causes.pop(name, None) is not None:
            _log.info("%s are being written again", name)
        return True


flusher = Flusher()
