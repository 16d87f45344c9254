"""The base of the groups of tasks: from checked arguments to a sent request.

All methods of the groups take keyword arguments only. They check their arguments before they send
(InvalidArgument), send within two seconds (or raise NotQueued or MaybeQueued), and return without
waiting for the worker. ``account`` is an alias of the worker's configuration. ``request_id`` is the
caller's key: the same request under the same id is done once, however often it is sent; where it is
optional, the client makes one. Instants are aware datetimes, or ISO 8601 texts with an offset.
Omitted arguments are not sent.
"""

from __future__ import annotations

import uuid
from typing import Any

from . import arguments as check
from .answers import Answer, Job
from .arguments import Notify
from .broker import Broker
from .request import EVERY_ACCOUNT, Request, job_id


class Group:
    """Tasks whose names have the first part in common."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def ask(self, task: str, *, question: bool = True, **arguments: Any) -> Answer[Any]:
        """Send a task that opens no job; a ``question`` changes nothing."""
        request = Request(f"earwitness.{task}", _checked(arguments), question=question)
        self._broker.send(request)
        return Answer(self._broker, request)

    def open(
        self,
        task: str,
        *,
        request_id: str | None,
        notify: Notify | None,
        **arguments: Any,
    ) -> Job[Any]:
        """Send a task that opens a job, under the caller's request id or a new one."""
        key = str(uuid.uuid4()) if request_id is None else check.request_id(request_id)
        given = {**arguments, "request_id": key, "notify": notify}
        return self._send_job(Request(f"earwitness.{task}", _checked(given), request_id=key), key)

    def open_day(self, *, account: str, day: str, notify: Notify | None) -> Job[Any]:
        """Send a day's export, whose key is the day; the job's id is that of the first run."""
        given = {"account": account, "day": day, "notify": notify}
        return self._send_job(Request("earwitness.export.run", _checked(given)), f"day:{day}#1")

    def _send_job(self, request: Request, key: str) -> Job[Any]:
        account = request.arguments.get("account", EVERY_ACCOUNT)
        self._broker.send(request)
        return Job(self._broker, request, job_id(account, request.task, key))


def _checked(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that are not None, with the common ones checked."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if "account" in arguments:
        given["account"] = check.alias(arguments["account"])
    if "notify" in given:
        given["notify"] = check.notify(given["notify"])
    return given
