"""The worker's Redis for event loops: carries out steps without blocking the loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing, suppress
from typing import Any, cast
from weakref import WeakKeyDictionary

from .addresses import Address
from .async_connections import AsyncConnections
from .broker import CLOSED, CLOSED_MEANING
from .errors import Closed
from .operations import Ask, Listen, Operation, Pause, Push, Steps, Value
from .redis_faults import FAULTS
from .references import Registry
from .worker_queue import WorkerQueue, for_caller

_REGISTRY: Registry[AsyncBroker]


class AsyncBroker:
    """Carries out steps, on any loop, with connections of the loop's own, and after a fork."""

    def __init__(self, address: Address, queue: str) -> None:
        self._address = address
        self.queue: WorkerQueue = WorkerQueue(address, queue)
        self._closed = False
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnections] = (
            WeakKeyDictionary()
        )
        _REGISTRY.add(self.queue.place, self)

    async def run(self, steps: Steps[Value]) -> Value:
        """Carry out steps and return their result.

        Nothing is left running on the loop afterwards, unless other steps need it.
        """
        is_cancelled = False
        try:
            return await self._carry_out(steps)
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            own = self._by_loop.get(asyncio.get_running_loop())
            if own is not None and not is_cancelled:
                await own.subscription.ended()

    async def _carry_out(self, steps: Steps[Value]) -> Value:
        result: Any = None
        fault: Exception | None = None
        with closing(steps):
            while True:
                try:
                    operation = steps.send(result) if fault is None else steps.throw(fault)
                except StopIteration as end:
                    return cast("Value", end.value)
                result = fault = None
                try:
                    result = await self._perform(operation)
                except FAULTS as error:
                    fault = error

    async def close(self) -> None:
        """Close the running loop's connections; the client raises Closed afterwards."""
        self._closed = True
        own = self._by_loop.pop(asyncio.get_running_loop(), None)
        if own is not None and own.pid == os.getpid():
            await own.close()

    async def _perform(self, operation: Operation) -> Any:
        if self._closed:
            raise Closed(CLOSED if isinstance(operation, Push) else CLOSED_MEANING)
        if isinstance(operation, Push):
            requests, encode = operation.requests, self.queue.encode
            return await self._current().push(
                self.queue.key,
                lambda: [encode(one) for one in requests],
                lambda error: for_caller(error, requests),
            )
        if isinstance(operation, Ask):
            return await self._current().ask(operation.commands)
        if isinstance(operation, Listen):
            return self._current().listen(operation.keys)
        return await _pause(operation)

    def _current(self) -> AsyncConnections:
        loop = asyncio.get_running_loop()
        own = self._by_loop.get(loop)
        if own is None or own.pid != os.getpid():
            own = self._by_loop[loop] = AsyncConnections(self._address)
        return own

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickle as a reference, without the address's password."""
        return AsyncBrokerReference, (self.queue.place,)


async def _pause(pause: Pause) -> None:
    if pause.listening is None:
        await asyncio.sleep(pause.seconds)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(pause.seconds):
            woken = pause.listening.woken
            assert isinstance(woken, asyncio.Event)
            await woken.wait()


class AsyncBrokerReference:
    """A pickled broker: the one of the same place in this process, looked up when it is used."""

    def __init__(self, place: str) -> None:
        self._place = place

    @property
    def queue(self) -> WorkerQueue:
        """The queue of the process' own broker."""
        return _REGISTRY.find(self._place).queue

    async def run(self, steps: Steps[Value]) -> Value:
        """Carry out steps by the process' own broker."""
        return await _REGISTRY.find(self._place).run(steps)


_REGISTRY = Registry[AsyncBroker]("an AsyncEarwitness")
