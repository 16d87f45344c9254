"""The alert that Redis does not serve a worker."""

from __future__ import annotations

import time

from ledger.alerts import EVERY_ACCOUNT, REDIS, Alert
from ledger.core.job import iso
from tasks.runtime.context import ledger

from .diagnosis import diagnose

CAUSE = f"{REDIS}:away"
#: How long Redis may fail a worker before an alert is opened, in seconds.
AFTER_SECONDS = 60.0


class RedisAlert:
    """One worker's part in the alert, which all workers share.

    A worker opens it, and closes it when Redis serves that worker again. A worker that finds it
    open at its start closes it, too: the one that opened it may be gone.

    Parameters: ``node``, the worker's name; ``after_seconds``, how long Redis fails before the
    alert opens.
    """

    def __init__(self, node: str, *, after_seconds: float = AFTER_SECONDS) -> None:
        self._node = node
        self._after_seconds = after_seconds
        #: When Redis first failed without an answer since, in monotonic seconds.
        self._since: float | None = None
        self._is_open = False
        self._is_first_answer = True

    def failed(self, error: Exception) -> None:
        """Note that Redis did not serve this worker; open the alert once that has lasted. Raises
        LedgerAway.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if self._is_open or now - self._since < self._after_seconds:
            return
        meaning, advice = diagnose(error)
        since = iso(time.time() - (now - self._since))
        message = (
            f"Redis has not served worker {self._node} since {since} ({meaning}); {advice}; "
            "no tasks are accepted and no jobs are started; accepted jobs are safe in the ledger"
        )
        ledger().alerts.open(Alert(CAUSE, REDIS, EVERY_ACCOUNT, message))
        self._is_open = True

    def answered(self) -> None:
        """Note that Redis serves this worker; close the alert if it may be this worker's. Raises
        LedgerAway.
        """
        self._since = None
        if self._is_open or self._is_first_answer:
            ledger().alerts.close(CAUSE)
        self._is_open = self._is_first_answer = False
