"""What an asynchronous caller holds after sending a request: an AsyncAnswer or an AsyncJob."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar, cast

from . import inquiries
from .async_broker import AsyncBroker
from .request import Request
from .requested import Requested, RequestedJob
from .results import JobView

Result = TypeVar("Result")


class AsyncAnswer(Requested, Generic[Result]):
    """The future answer of a task that opens no job; ``Answer`` for an event loop.

    Every wait is bounded as ``Answer``'s are, uses no thread, and may be cancelled at any time.
    """

    def __init__(self, broker: AsyncBroker, request: Request) -> None:
        super().__init__(request)
        self._broker = broker

    @property
    def state(self) -> Coroutine[Any, Any, str]:
        """Celery's state of the task, to be awaited: ``await job.state``.

        PENDING, STARTED, RETRY, SUCCESS, FAILURE or REVOKED, as ``Answer.state``.
        """
        return self._broker.run(inquiries.state(self._broker.queue, self._request))

    async def ready(self) -> bool:
        """Return whether the result backend has the outcome, without asking a worker.

        Then ``wait(0)`` returns or raises at once. Raises NotAnswered if Redis does not answer.
        """
        return await self._broker.run(inquiries.ready(self._broker.queue, self._request))

    async def send_again(self) -> None:
        """Send the same request again under the same ids. Raises NotQueued or MaybeQueued.

        An attached job does not know its arguments: InvalidArgument.
        """
        await self._broker.run(inquiries.send_again(self._broker.queue, self._request))

    async def wait(self, timeout: float | None) -> Result:  # noqa: ASYNC109 - as Answer.wait
        """Wait up to ``timeout`` seconds (None: without limit) for the result, and return it.

        Redis may meanwhile be away or lose its data: a lost request is sent again. Raises the
        worker's JobError, and NotAnswered.
        """
        if self._outcome is not None:
            return cast("Result", self._outcome.result())
        steps = inquiries.wait(self._broker.queue, self._request, timeout)
        return cast("Result", await self._broker.run(steps))


class AsyncJob(AsyncAnswer[Result], RequestedJob):
    """A requested job, which the worker's ledger has or will have; ``Job`` for an event loop."""

    async def accepted(self, timeout: float | None) -> None:  # noqa: ASYNC109 - as Job.accepted
        """Wait up to ``timeout`` seconds (None: without limit) until the worker's ledger has it.

        From then on nothing loses the job. A request that Redis lost meanwhile is sent again.
        Raises InvalidArgument, RequestConflict or CapReached if no job was opened, Cancelled if the
        task was revoked before, JobFailed if the worker does not know the task, and NotAnswered.
        """
        await self._broker.run(inquiries.accepted(self._broker.queue, self._request, timeout))

    async def status(self, timeout: float | None = 10) -> JobView:  # noqa: ASYNC109 - as Job.status
        """Wait up to ``timeout`` seconds (None: without limit) for the ledger's view of the job.

        Raises NoSuchJob if no worker has opened the job (yet), with its ``refusal`` if that is
        known; NotQueued, MaybeQueued and NotAnswered.
        """
        return await self._broker.run(inquiries.status(self._broker.queue, self._request, timeout))
