"""Many requests at once, as steps for both kinds of clients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from .arguments import Notify, invalid
from .drafts import day_request, job_request, plain_request
from .errors import InvalidArgument, JobError, MaybeQueued, NotAnswered, NotSent
from .inquiries import not_ended, watch
from .operations import Push, Steps
from .request import Request
from .stored import Outcome
from .waiting import Waiting, Watch
from .worker_queue import WorkerQueue, for_caller

#: So many requests are pushed together; within a second, also by a slow Redis.
_PUSHED_TOGETHER = 500


class Drafts:
    """Takes the place of a group of tasks, to make requests that are sent later."""

    def __init__(self, queue: str) -> None:
        self._queue = queue

    def ask(self, task: str, *, question: bool = True, **arguments: Any) -> Request:
        """Return the request of a task that opens no job."""
        return plain_request(task, question, arguments)

    def open(
        self, task: str, *, request_id: str | None, notify: Notify | None, **arguments: Any
    ) -> Request:
        """Return the request of a task that opens a job."""
        return job_request(task, request_id, notify, arguments, self._queue)

    def open_day(self, *, account: str, day: str, notify: Notify | None) -> Request:
        """Return the request of a day's export."""
        return day_request(account, day, notify, self._queue)

    @property
    def _broker(self) -> NoReturn:
        """What the methods use that are no tasks."""
        raise _no_task()


def _no_task() -> InvalidArgument:
    return invalid("function", "must be a task's, such as earwitness.recording.download")


def draft(queue: WorkerQueue, function: Callable[..., Any], given: Mapping[str, Any]) -> Request:
    """Return the request that a group's method would send. Raises InvalidArgument."""
    method = inspect.unwrap(getattr(function, "__func__", function))
    made: object = method(Drafts(queue.name), **given)
    if not isinstance(made, Request):
        raise _no_task()
    return made


def drafted(
    queue: WorkerQueue, function: Callable[..., Any], each: Iterable[Mapping[str, Any]]
) -> list[Request]:
    """Return the requests that a group's method would send. Raises InvalidArgument."""
    requests = []
    for number, given in enumerate(each):
        try:
            requests.append(draft(queue, function, given))
        except InvalidArgument as error:
            why = str(error).removeprefix("not done: ")
            raise InvalidArgument(f"not done: arguments[{number}]: {why}") from None
    return requests


def send(requests: Sequence[Request]) -> Steps[None]:
    """Push requests in their order. Raises NotQueued if none is queued, and MaybeQueued."""
    for start in range(0, len(requests), _PUSHED_TOGETHER):
        together = tuple(requests[start : start + _PUSHED_TOGETHER])
        try:
            yield Push(together)
        except NotSent as error:
            if not start:
                raise for_caller(error, requests) from error.__cause__
            raise for_caller(
                MaybeQueued(f"the first {start} are, but then {error}"), requests
            ) from error.__cause__


def waiting(queue: WorkerQueue, requests: Iterable[Request], timeout: float | None) -> Waiting:
    """Return the wait for the ends of requests, whose watches are in the same order."""
    return Waiting(queue, [watch(queue, one) for one in requests], timeout)


def not_all_ended(left: Waiting, timeout: float | None) -> Steps[list[str]]:
    """Return the message for each request that was not answered in time."""
    if not left.pending:
        return []
    why = yield from left.why()
    return [not_ended(one, timeout, why) for one in left.pending]


def outcomes(watches: Sequence[Watch], left: Sequence[Watch], messages: Sequence[str]) -> list[Any]:
    """Return each watch's result, or its error as a value; ``messages`` are of those ``left``."""
    unanswered = dict(zip(left, messages, strict=True))
    return [
        NotAnswered(unanswered[one]) if one in unanswered else _value(one.outcome)
        for one in watches
    ]


def _value(outcome: Outcome) -> Any:
    try:
        return outcome.result()
    except JobError as error:
        return error
