"""What a wait has of the subscription: the keys whose publications end its pauses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias

#: Ends the pauses of a thread, or of a task.
Woken: TypeAlias = threading.Event | asyncio.Event


Change: TypeAlias = Callable[["Listening", frozenset[str]], None]


class Listening:
    """The keys that one wait listens for; ``close`` it when the wait is over.

    ``add`` and ``drop`` have the subscription subscribe to keys and forget them. The methods may be
    called from any thread.
    """

    def __init__(self, woken: Woken, add: Change, drop: Change) -> None:
        #: Is set when something is to be read.
        self.woken: Woken = woken
        self._add = add
        self._drop = drop
        #: Reentrant, because a collected generator may close its listening anywhere.
        self._lock = threading.RLock()
        self._unconfirmed: set[str] = set()
        self._left: set[str] = set()
        self._published: set[str] = set()
        self._read_all = True
        #: Whether publications are missed now: Redis is away, or refuses the subscription.
        self.is_lost: bool = False

    @property
    def is_live(self) -> bool:
        """Whether every publication will end a pause."""
        return not self._unconfirmed

    def take(self) -> frozenset[str] | None:
        """Return the keys to read because of publications; None if all are to be read.

        None are returned if the pause ended by itself.
        """
        with self._lock:
            self.woken.clear()
            published = None if self._read_all else frozenset(self._published)
            self._published, self._read_all = set(), False
            return published

    def add(self, keys: Iterable[str]) -> None:
        """Listen for these keys, too."""
        with self._lock:
            new = frozenset(keys) - self._left
            self._left |= new
            self._unconfirmed |= new
        if new:
            self._add(self, new)

    def drop(self, keys: Iterable[str]) -> None:
        """Listen for these keys no more."""
        with self._lock:
            gone = frozenset(keys) & self._left
            self._left -= gone
            self._unconfirmed -= gone
        if gone:
            self._drop(self, gone)

    def close(self) -> None:
        """Listen for nothing more."""
        self.drop(self._left)

    # --- called by the subscription --------------------------------------------------------------

    def wake(self, key: str) -> None:
        """Note that a state was published under a key."""
        with self._lock:
            self._published.add(key)
            self.woken.set()

    def confirm(self, key: str) -> None:
        """Note that publications under a key arrive from now on."""
        with self._lock:
            self._unconfirmed.discard(key)
            if not self._unconfirmed:
                self._read_all, self.is_lost = True, False
                self.woken.set()

    def lose(self) -> None:
        """Note that publications may be missed."""
        with self._lock:
            if not self.is_lost:
                self.woken.set()
            self._unconfirmed = set(self._left)
            self._read_all = self.is_lost = True
