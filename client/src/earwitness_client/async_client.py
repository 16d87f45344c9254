"""The client for an event loop."""

from __future__ import annotations

from typing import Self

from redis.asyncio import BlockingConnectionPool

from .addresses import read_address
from .async_broker import AsyncBroker
from .async_groups import (
    AsyncArchive,
    AsyncCalls,
    AsyncCertifiedCalls,
    AsyncExports,
    AsyncJobs,
    AsyncRecordings,
)


class AsyncEarwitness:
    """A client of an Earwitness worker for asyncio: ``Earwitness`` with ``await``.

    The parameters are those of ``Earwitness``, and so are the tasks, their arguments, results and
    errors. Nothing blocks the event loop and no operation uses a thread; only asyncio itself looks
    up host names on one. Every operation is bounded: sending fails within two seconds.

    The constructor opens no connection and needs no running loop. Each loop has connections of its
    own, and so has each process after a fork. Close the client on the loop that used it
    (``async with``, ``aclose``).

    A task may be cancelled at any time. If it was sending, the CancelledError has a note
    (``__notes__``) that says whether the request may be queued; sending it again under the same
    request id is always safe.

    Raises InvalidArgument for an invalid address or prefix.
    """

    def __init__(self, url: str, *, queue: str = "earwitness", key_prefix: str = "") -> None:
        self._broker = AsyncBroker(read_address(url, key_prefix, BlockingConnectionPool), queue)
        self.certified_call: AsyncCertifiedCalls = AsyncCertifiedCalls(self._broker)
        self.recording: AsyncRecordings = AsyncRecordings(self._broker)
        self.call: AsyncCalls = AsyncCalls(self._broker)
        self.export: AsyncExports = AsyncExports(self._broker)
        self.job: AsyncJobs = AsyncJobs(self._broker)
        self.archive: AsyncArchive = AsyncArchive(self._broker)

    async def aclose(self) -> None:
        """Close the running loop's connections; the client and its jobs raise Closed afterwards."""
        await self._broker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()
