"""The newest entry of each account's chain, as far as this process knows it.

Asking the archive lists a folder that grows for years. So it is asked now and then, and what this
process puts under a chain itself is known at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from archive import chain
from archive.chain import Head
from tasks.runtime.context import store

#: A head is shown for so long before the next one: each is a time series of its own, and whoever
#: holds any of them can tell that everything before it is unchanged.
SHOWN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Known:
    """An account's chain: how many entries it has, and the head that is shown."""

    entries: int
    shown: Head
    since: float


class Heads:
    """What is known of the chains; ``clock`` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._lock = threading.Lock()

    def noted(self, head: Head) -> None:
        """The account's chain ends with this entry."""
        with self._lock:
            self._note(head)

    def read(self, account: str) -> None:
        """Look into the archive. Raises ArchiveError and OSError."""
        before = self._known.get(account)
        head = chain.head(store(), account)
        with self._lock:
            # What this process appended meanwhile is newer than what was read.
            if head is not None and self._known.get(account) is before:
                self._note(head)

    def known(self) -> list[Known]:
        """Every chain, in the order of the accounts."""
        with self._lock:
            return [self._known[account] for account in sorted(self._known)]

    def _note(self, head: Head) -> None:
        now = self._clock()
        before = self._known.get(head.account)
        if before is None or now - before.since >= SHOWN_SECONDS or head.n < before.shown.n:
            self._known[head.account] = Known(head.n, head, now)
        else:
            self._known[head.account] = Known(head.n, before.shown, before.since)


heads = Heads()
