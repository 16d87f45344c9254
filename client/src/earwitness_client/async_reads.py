"""Reads of many tasks of an event loop, sent together.

Thousands of waits that wake at once would queue for connections until their time is over. While
some reads are under way, others gather, and go together with the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from .redis_faults import AWAY, copied

_Command = tuple[str, ...]
_Read = tuple[Sequence[_Command], asyncio.Future[list[Any]]]
_Exchange = Callable[[Sequence[_Command]], Awaitable[list[Any]]]
#: So many batches are under way at once, of so many commands at most.
_BATCHES, _COMMANDS = 4, 500


class Reads:
    """The reads of one loop; ``exchange`` returns the replies to commands, errors among them."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._waiting: deque[_Read] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, commands: Sequence[_Command]) -> list[Any]:
        """Return the replies to commands. Raises RedisError or OSError."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[list[Any]] = loop.create_future()
        self._waiting.append((commands, answered))
        if len(self._tasks) < _BATCHES:
            task = loop.create_task(self._send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        replies = await answered
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    async def close(self) -> None:
        """End what is under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        while batch := self._next():
            try:
                replies = await self._exchange([one for commands, _ in batch for one in commands])
            except AWAY as error:
                # Those that gathered meanwhile would only wait as long again.
                gathered, self._waiting = self._waiting, deque()
                for _, answered in [*batch, *gathered]:
                    if not answered.done():
                        answered.set_exception(copied(error))
                return
            except BaseException:
                for _, answered in batch:
                    answered.cancel()
                raise
            start = 0
            for commands, answered in batch:
                own = replies[start : start + len(commands)]
                start += len(commands)
                if not answered.done():
                    answered.set_result(own)

    def _next(self) -> list[_Read]:
        """Take the reads of the next batch, without those that were cancelled."""
        batch: list[_Read] = []
        count = 0
        while self._waiting and (not batch or count + len(self._waiting[0][0]) <= _COMMANDS):
            one = self._waiting.popleft()
            if not one[1].done():
                batch.append(one)
                count += len(one[0])
        return batch
