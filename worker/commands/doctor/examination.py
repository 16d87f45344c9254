"""Examinations that may hang: each runs in a thread of its own, and is waited for a short time.

An examination that gives a sign of life is waited for longer: a finding is one, and so is each file
of a listing.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

from redis.exceptions import RedisError

from archive.errors import ArchiveError, StoreAway
from config.masking import masked_error
from ledger.errors import LedgerError
from worker.redis.diagnosis import diagnose

from .findings import CHECK_LEDGER, UNKNOWN, Finding, error

#: How long an examination may be silent.
PATIENCE_SECONDS = 7.0
_LOOK_SECONDS = 0.1

#: Called at each sign of life.
Alive = Callable[[], None]


class Examination:
    """One part of a deployment, examined from now on.

    ``examine`` gets what it calls at signs of life, and yields findings.
    """

    def __init__(self, subject: str, examine: Callable[[Alive], Iterable[Finding]]) -> None:
        self._subject = subject
        self._examine = examine
        self._found: queue.SimpleQueue[Finding] = queue.SimpleQueue()
        self._is_over = threading.Event()
        self._alive_at = time.monotonic()
        self._result: Any = UNKNOWN
        threading.Thread(target=self._run, name=f"doctor-{subject}", daemon=True).start()

    def findings(self) -> Generator[Finding, None, Any]:
        """Yield the findings, and one more if the examination failed or hangs.

        Return the examination's result, UNKNOWN if there is none.
        """
        while True:
            is_over = self._is_over.is_set()
            try:
                yield self._found.get(timeout=0 if is_over else _LOOK_SECONDS)
            except queue.Empty:
                if is_over:
                    return self._result
                if time.monotonic() - self._alive_at > PATIENCE_SECONDS:
                    yield self._hanging()
                    return UNKNOWN

    def _run(self) -> None:
        try:
            self._result = yield_to(self._examine(self._alive), self._take)
        except Exception as failure:  # noqa: BLE001 - reported as a finding
            why = masked_error(failure).splitlines()[0]
            self._take(error(self._subject, f"the check did not finish: {why}", _advice(failure)))
        finally:
            self._is_over.set()

    def _take(self, finding: Finding) -> None:
        self._alive()
        self._found.put(finding)

    def _alive(self) -> None:
        self._alive_at = time.monotonic()

    def _hanging(self) -> Finding:
        return error(
            self._subject,
            f"the check did not finish: no answer for {PATIENCE_SECONDS:.0f} s; it hangs, or the "
            "network drops packets",
            "check its server, its disk or mount, the network and name resolution "
            "(DNS); meanwhile, workers do what does not need it",
        )


def _advice(failure: Exception) -> str:
    """Return what to do about a failure that the examination itself does not expect."""
    if isinstance(failure, LedgerError):
        return CHECK_LEDGER
    if isinstance(failure, StoreAway | ArchiveError):
        return "check EARWITNESS_ARCHIVE_URL and its storage, then run doctor again"
    if isinstance(failure, RedisError):
        return diagnose(failure).advice
    if isinstance(failure, PermissionError):
        return "run doctor as a user who may read and write the same files as the workers"
    if isinstance(failure, OSError):
        return "check the disks and the network of this host, then run doctor again"
    return "run doctor again; if this error comes again, report it as a fault of Earwitness"


def yield_to(found: Iterable[Finding], take: Callable[[Finding], None]) -> Any:
    """Pass every finding to ``take``; return the result of a generator."""
    findings = iter(found)
    while True:
        try:
            take(next(findings))
        except StopIteration as end:
            return end.value
