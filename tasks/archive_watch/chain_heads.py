"""The newest entry of each account's chain, as far as this process knows it.

A question to the archive lists a folder that grows for years. So the archive is asked only now and
then, and entries that this process appends are known at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from archive import chain
from archive.chain import Head
from tasks.runtime.context import store

#: How long a head is published before the next one. Each head is a time series of its own, and any
#: of them proves that everything before it is unchanged.
SHOWN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class KnownChain:
    """An account's chain: its number of entries, and the head that metrics publish."""

    entries: int
    published: Head
    since: float


class Heads:
    """The chains of all accounts; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, KnownChain] = {}
        self._lock = threading.Lock()

    def record(self, head: Head) -> None:
        """Record that the account's chain ends with this entry."""
        with self._lock:
            self._note(head)

    def read(self, account: str) -> None:
        """Read the account's head from the archive. Raises ArchiveError and OSError."""
        before = self._known.get(account)
        head = chain.head(store(), account)
        with self._lock:
            # An entry that this process appended meanwhile is newer than the one that was read.
            if head is not None and self._known.get(account) is before:
                self._note(head)

    def chains(self) -> list[KnownChain]:
        """Return every chain, in the order of the accounts."""
        with self._lock:
            return [self._known[account] for account in sorted(self._known)]

    def _note(self, head: Head) -> None:
        now = self._clock()
        before = self._known.get(head.account)
        if before is None or now - before.since >= SHOWN_SECONDS or head.n < before.published.n:
            self._known[head.account] = KnownChain(head.n, head, now)
        else:
            self._known[head.account] = KnownChain(head.n, before.published, before.since)


heads = Heads()
