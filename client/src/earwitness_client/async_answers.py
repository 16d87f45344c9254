"""What an asynchronous caller holds after sending a request: an AsyncAnswer or an AsyncJob."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar, cast

from . import inquiries
from .async_broker import AsyncBroker
from .request import Request
from .results import JobView

Result = TypeVar("Result")


class AsyncAnswer(Generic[Result]):
    """The future answer of a task that opens no job; ``Answer`` for an event loop.

    Every wait is bounded as ``Answer``'s are, uses no thread, and may be cancelled at any time.
    """

    def __init__(self, broker: AsyncBroker, request: Request) -> None:
        self._broker = broker
        self._request = request

    @property
    def task_id(self) -> str:
        """Celery's id of the task, under which Flower shows it.

        Empty if the job was attached without it.
        """
        return self._request.task_id

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
        steps = inquiries.wait(self._broker.queue, self._request, timeout)
        return cast("Result", await self._broker.run(steps))

    def __repr__(self) -> str:
        """Name the task and its id, without what the arguments say."""
        return f"<{type(self).__name__} {self._request.shown}>"


class AsyncJob(AsyncAnswer[Result]):
    """A requested job, which the worker's ledger has or will have; ``Job`` for an event loop."""

    @property
    def id(self) -> str:
        """The job's id in the ledger, known before any worker knows the job.

        For a day's export it is the id of the day's first run; if the day was exported again,
        ``status`` and the result name the later run. Empty if the job was attached by its task id.
        """
        return self._request.job_id or ""

    @property
    def request_id(self) -> str | None:
        """The id under which the request may be sent again at any time.

        None for a day's export, whose key is the day, and for a job that was attached without it.
        """
        return self._request.request_id

    async def accepted(self, timeout: float | None) -> None:  # noqa: ASYNC109 - as Job.accepted
        """Wait up to ``timeout`` seconds (None: without limit) until the worker's ledger has it.

        From then on nothing loses the job. A request that Redis lost meanwhile is sent again.
        Raises InvalidArgument, RequestConflict or CapReached if no job was opened, and NotAnswered.
        """
        await self._broker.run(inquiries.accepted(self._broker.queue, self._request, timeout))

    async def status(self, timeout: float | None = 10) -> JobView:  # noqa: ASYNC109 - as Job.status
        """Wait up to ``timeout`` seconds (None: without limit) for the ledger's view of the job.

        Raises NoSuchJob if no worker has opened the job (yet), NotQueued, MaybeQueued and
        NotAnswered.
        """
        return await self._broker.run(inquiries.status(self._broker.queue, self._request, timeout))
