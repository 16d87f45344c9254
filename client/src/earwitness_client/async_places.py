"""The places for connections of one event loop, and those that wait for one.

Where Redis is away, hundreds of tasks would each try to connect, or all give up in the same turn of
the loop, and hold up everything else on it. So while Redis is not known to answer, one attempt
counts for all that came before it; and those that get an error get it one at each turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from .redis_faults import copied

_Refused: TypeAlias = tuple[asyncio.Future[None], Exception]


@dataclass(frozen=True, eq=False)
class _Waiter:
    number: int
    until: float
    taken: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Places:
    """``most`` places while Redis answers, and one while it is not known to."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._is_answering = False
        self._connected = 0
        self._arrived = 0
        self._waiting: deque[_Waiter] = deque()
        #: Those that get an error, one at each turn of the loop.
        self._refused: deque[_Refused] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, until: float) -> None:
        """Wait for a place until the loop's time ``until``; ``give_back`` it afterwards.

        Raises TimeoutError, and the error of an attempt to connect that began meanwhile.
        """
        if self._has_place and not self._waiting:
            self._held += 1
            return
        self._arrived += 1
        waiter = _Waiter(self._arrived, until)
        self._waiting.append(waiter)
        if self._timer is None:
            self._expire()
        try:
            await waiter.taken
        except asyncio.CancelledError:
            if not waiter.taken.cancelled() and waiter.taken.exception() is None:
                self.give_back()
            raise

    def attempt(self) -> int:
        """Note that the holder of a place begins to connect; return the attempt's number."""
        return self._arrived

    def connected(self) -> None:
        """Note that the holder of a place is connected to a Redis that answers."""
        self._connected += 1
        self._is_answering = True
        self._admit()

    def not_connected(self, attempt: int, error: Exception) -> None:
        """Note that an attempt failed: so it did for all that waited when it began.

        Not if others are connected: Redis may have refused this one connection.
        """
        if self._connected:
            return
        self._is_answering = False
        while self._waiting and self._waiting[0].number <= attempt:
            self._refuse(self._waiting.popleft().taken, error)

    def disconnected(self, *, is_answering: bool) -> None:
        """Note that a holder that was connected has done its work, or that Redis did not answer."""
        self._connected -= 1
        self._is_answering = is_answering

    def give_back(self) -> None:
        """Give a place back, to the one that has waited longest."""
        self._held -= 1
        self._admit()

    @property
    def _has_place(self) -> bool:
        return self._held < (self._most if self._is_answering else 1)

    def _admit(self) -> None:
        while self._waiting and self._has_place:
            taken = self._waiting.popleft().taken
            if not taken.done():
                self._held += 1
                taken.set_result(None)

    def _expire(self) -> None:
        """Refuse those whose time is over, and come again when the next one's is."""
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting:
            first = self._waiting[0]
            if not first.taken.done() and first.until > loop.time():
                self._timer = loop.call_at(first.until, self._expire)
                return
            self._waiting.popleft()
            self._refuse(first.taken, TimeoutError())

    def _refuse(self, taken: asyncio.Future[None], error: Exception) -> None:
        self._refused.append((taken, error))
        if len(self._refused) == 1:
            asyncio.get_running_loop().call_soon(self._refuse_one)

    def _refuse_one(self) -> None:
        while self._refused:
            taken, error = self._refused.popleft()
            if not taken.done():
                taken.set_exception(copied(error))
                break
        if self._refused:
            asyncio.get_running_loop().call_soon(self._refuse_one)
