"""The base of the groups of tasks: from checked arguments to a sent request.

All methods of the groups take keyword arguments only. They check their arguments before they send
(InvalidArgument), send within two seconds (or raise NotQueued or MaybeQueued), and return without
waiting for the worker. ``account`` is an alias of the worker's configuration. ``request_id`` is the
caller's key: the same request under the same id is done once, however often it is sent; where it is
optional, the client makes one. Instants are aware datetimes, or ISO 8601 texts with an offset.
Omitted arguments are not sent.
"""

from __future__ import annotations

from typing import Any

from .answers import Answer, Job
from .arguments import Notify
from .broker import Broker
from .drafts import day_request, job_request, plain_request
from .request import Request


class Group:
    """Tasks whose names have the first part in common."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def ask(self, task: str, *, question: bool = True, **arguments: Any) -> Answer[Any]:
        """Send a task that opens no job; a ``question`` changes nothing."""
        return Answer(self._broker, self._sent(plain_request(task, question, arguments)))

    def open(
        self,
        task: str,
        *,
        request_id: str | None,
        notify: Notify | None,
        **arguments: Any,
    ) -> Job[Any]:
        """Send a task that opens a job, under the caller's request id or a new one."""
        queue = self._broker.queue.name
        return Job(
            self._broker, self._sent(job_request(task, request_id, notify, arguments, queue))
        )

    def open_day(self, *, account: str, day: str, notify: Notify | None) -> Job[Any]:
        """Send a day's export, whose key is the day; the job's id is that of the first run."""
        queue = self._broker.queue.name
        return Job(self._broker, self._sent(day_request(account, day, notify, queue)))

    def _sent(self, request: Request) -> Request:
        self._broker.run(self._broker.queue.send(request))
        return request
