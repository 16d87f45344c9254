"""The client for an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import closing
from typing import Any, Self, TypeVar, cast

from redis.asyncio import BlockingConnectionPool

from . import many
from .addresses import read_address
from .async_answers import AsyncAnswer, AsyncJob, Result
from .async_broker import AsyncBroker
from .async_groups import (
    AsyncArchive,
    AsyncCalls,
    AsyncCertifiedCalls,
    AsyncExports,
    AsyncJobs,
    AsyncRecordings,
)
from .errors import EarwitnessError, NotAnswered, NotSent
from .requested import request_of, settle

Sent = TypeVar("Sent", bound=AsyncAnswer[Any])


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

    async def send_many(
        self,
        function: Callable[..., Coroutine[Any, Any, Sent]],
        arguments: Iterable[Mapping[str, Any]],
    ) -> list[Sent]:
        """Send a task many times, as ``Earwitness.send_many`` does.

        Cancelled in the middle, it may have sent some.
        """
        requests = many.drafted(self._broker.queue, function, arguments)
        made = [
            (AsyncAnswer[Any] if one.job_id is None else AsyncJob[Any])(self._broker, one)
            for one in requests
        ]
        try:
            await self._broker.run(many.send(requests))
        except NotSent as error:
            error.jobs = made
            raise
        return cast("list[Sent]", made)

    async def as_completed(
        self,
        jobs: Iterable[Sent],
        timeout: float | None,  # noqa: ASYNC109 - as Earwitness.as_completed
    ) -> AsyncIterator[Sent]:
        """Yield jobs and answers as they end, for ``async for``; as ``Earwitness.as_completed``."""
        given = list(jobs)
        waiting = many.waiting(self._broker.queue, map(request_of, given), timeout)
        of_watch = dict(zip(waiting.pending, given, strict=True))
        with closing(waiting):
            while waiting.pending:
                over = await self._broker.run(waiting.round())
                if not over:
                    messages = await self._broker.run(many.not_all_ended(waiting, timeout))
                    raise NotAnswered(messages[0])
                for one in over:
                    settle(of_watch[one], one.outcome)
                    yield of_watch[one]

    async def wait_many(
        self,
        jobs: Iterable[AsyncAnswer[Result]],
        timeout: float | None,  # noqa: ASYNC109 - as Earwitness.wait_many
    ) -> list[Result | EarwitnessError]:
        """Return what became of many jobs and answers, as ``Earwitness.wait_many`` does."""
        given = list(jobs)
        waiting = many.waiting(self._broker.queue, map(request_of, given), timeout)
        watches = list(waiting.pending)
        with closing(waiting):
            while waiting.pending:
                if not await self._broker.run(waiting.round()):
                    break
        messages = await self._broker.run(many.not_all_ended(waiting, timeout))
        return many.outcomes(watches, list(waiting.pending), messages)

    async def aclose(self) -> None:
        """Close the running loop's connections; the client and its jobs raise Closed afterwards."""
        await self._broker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()
