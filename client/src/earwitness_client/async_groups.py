"""The groups of tasks for an event loop.

Each method is the one of the same name in the blocking group: the same arguments, checks and
request. Only sending it is awaited.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from datetime import date
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar, overload

from .answers import Answer, Job
from .arguments import Filters, Notify
from .async_answers import AsyncAnswer, AsyncJob
from .async_broker import AsyncBroker
from .attaching import attached
from .calls import Calls, CertifiedCalls
from .drafts import day_request, job_request, plain_request
from .exports import Archive, Exports
from .jobs import Jobs
from .recordings import Recordings
from .request import Request
from .results import RunExport

Given = ParamSpec("Given")
Result = TypeVar("Result")
Awaited: TypeAlias = Coroutine[Any, Any, Result]


def opens(
    blocking: Callable[Concatenate[Any, Given], Job[Result]],
) -> Callable[
    [Callable[..., object]], Callable[Concatenate[Any, Given], Awaited[AsyncJob[Result]]]
]:
    """Give a method the arguments and the checks of a blocking method that returns a Job."""
    return _as_blocking(blocking)


def asks(
    blocking: Callable[Concatenate[Any, Given], Answer[Result]],
) -> Callable[
    [Callable[..., object]], Callable[Concatenate[Any, Given], Awaited[AsyncAnswer[Result]]]
]:
    """Give a method the arguments and the checks of a blocking method that returns an Answer."""
    return _as_blocking(blocking)


def _as_blocking(blocking: Callable[..., Any]) -> Callable[[Callable[..., object]], Any]:
    def decorate(described: Callable[..., object]) -> Any:
        @functools.wraps(blocking)
        async def method(self: AsyncGroup, /, *args: Any, **given: Any) -> Any:
            return await blocking(self, *args, **given)

        method.__qualname__ = described.__qualname__
        method.__module__ = described.__module__
        signature = inspect.signature(blocking)
        returns = f"Async{signature.return_annotation}"
        method.__signature__ = signature.replace(return_annotation=returns)  # type: ignore[attr-defined]
        return method

    return decorate


class AsyncGroup:
    """Tasks whose names have the first part in common."""

    def __init__(self, broker: AsyncBroker) -> None:
        self._broker = broker

    async def ask(self, task: str, *, question: bool = True, **arguments: Any) -> AsyncAnswer[Any]:
        """Send a task that opens no job; a ``question`` changes nothing."""
        return AsyncAnswer(self._broker, await self._sent(plain_request(task, question, arguments)))

    async def open(
        self, task: str, *, request_id: str | None, notify: Notify | None, **arguments: Any
    ) -> AsyncJob[Any]:
        """Send a task that opens a job, under the caller's request id or a new one."""
        queue = self._broker.queue.name
        request = job_request(task, request_id, notify, arguments, queue)
        return AsyncJob(self._broker, await self._sent(request))

    async def open_day(self, *, account: str, day: str, notify: Notify | None) -> AsyncJob[Any]:
        """Send a day's export, whose key is the day; the job's id is that of the first run."""
        request = day_request(account, day, notify, self._broker.queue.name)
        return AsyncJob(self._broker, await self._sent(request))

    async def _sent(self, request: Request) -> Request:
        await self._broker.run(self._broker.queue.send(request))
        return request


class AsyncCertifiedCalls(AsyncGroup):
    """Calls that a certified platform places."""

    @opens(CertifiedCalls.request)
    def request(self) -> None:
        """As ``CertifiedCalls.request``."""


class AsyncCalls(AsyncGroup):
    """Live calls."""

    @asks(Calls.list)
    def list(self) -> None:
        """As ``Calls.list``."""


class AsyncRecordings(AsyncGroup):
    """Recordings of live calls, and recordings stored at the provider."""

    @opens(Recordings.start)
    def start(self) -> None:
        """As ``Recordings.start``."""

    @opens(Recordings.stop)
    def stop(self) -> None:
        """As ``Recordings.stop``."""

    @opens(Recordings.collect)
    def collect(self) -> None:
        """As ``Recordings.collect``."""

    @asks(Recordings.list)
    def list(self) -> None:
        """As ``Recordings.list``."""

    @asks(Recordings.get)
    def get(self) -> None:
        """As ``Recordings.get``."""

    @opens(Recordings.download)
    def download(self) -> None:
        """As ``Recordings.download``."""

    @opens(Recordings.delete)
    def delete(self) -> None:
        """As ``Recordings.delete``."""


class AsyncExports(AsyncGroup):
    """Exports of many recordings (Vonage)."""

    @opens(Exports.create)
    def create(self) -> None:
        """As ``Exports.create``."""

    @opens(Exports.retrieve)
    def retrieve(self) -> None:
        """As ``Exports.retrieve``."""

    @overload
    async def run(
        self, *, account: str, day: date | str, notify: Notify | None = None
    ) -> AsyncJob[RunExport]: ...

    @overload
    async def run(
        self,
        *,
        account: str,
        filters: Filters,
        request_id: str | None = None,
        notify: Notify | None = None,
    ) -> AsyncJob[RunExport]: ...

    @_as_blocking(Exports.run)
    async def run(self) -> None:
        """As ``Exports.run``."""


class AsyncJobs(AsyncGroup):
    """Jobs: their state, and people's decisions about them."""

    @asks(Jobs.status)
    def status(self) -> None:
        """As ``Jobs.status``."""

    async def attach(
        self,
        *,
        job_id: str | None = None,
        task_id: str | None = None,
        request_id: str | None = None,
        account: str | None = None,
        task: str | None = None,
        timeout: float | None = 10,  # noqa: ASYNC109 - as Jobs.attach
    ) -> AsyncJob[Any]:
        """Return the job that was requested elsewhere or earlier, as ``Jobs.attach`` does.

        Only a request id without its task sends anything: it raises NoSuchJob, NotQueued,
        MaybeQueued and NotAnswered, and InvalidArgument if several tasks have a job of this id.
        """
        steps = attached(self._broker.queue, job_id, task_id, request_id, account, task, timeout)
        return AsyncJob(self._broker, await self._broker.run(steps))

    @asks(Jobs.cancel)
    def cancel(self) -> None:
        """As ``Jobs.cancel``."""

    @asks(Jobs.retry)
    def retry(self) -> None:
        """As ``Jobs.retry``."""

    @asks(Jobs.resolve)
    def resolve(self) -> None:
        """As ``Jobs.resolve``."""


class AsyncArchive(AsyncGroup):
    """The archive."""

    @opens(Archive.verify)
    def verify(self) -> None:
        """As ``Archive.verify``."""
