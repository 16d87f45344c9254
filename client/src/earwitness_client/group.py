"""What the groups of tasks have in common: from checked arguments to a request that was sent.

All functions of the groups take keyword arguments only, look at them before anything is sent
(InvalidArgument), send within two seconds (or NotQueued, MaybeQueued) and return at once with what
was sent. ``account`` is an alias of the worker's configuration. ``request_id`` is the caller's key:
the same request under the same id is done once, however often it is sent; where it may be left out,
one is made. Instants are aware datetimes, or ISO 8601 texts with an offset. An argument that is
left out is not sent.
"""

from __future__ import annotations

import uuid
from typing import Any

from . import arguments as check
from .answers import Answer, Job
from .arguments import Notify
from .broker import Line
from .request import EVERY_ACCOUNT, Request, job_id


class Group:
    """Tasks that have the first part of their names in common."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def ask(self, task: str, *, question: bool = True, **arguments: Any) -> Answer[Any]:
        """Ask for an answer; a ``question`` changes nothing."""
        request = Request(f"earwitness.{task}", _given(arguments), question=question)
        self._line.send(request)
        return Answer(self._line, request)

    def open(
        self,
        task: str,
        *,
        request_id: str | None,
        notify: Notify | None,
        **arguments: Any,
    ) -> Job[Any]:
        """Ask for a job under the caller's request id, or under one that is made."""
        key = str(uuid.uuid4()) if request_id is None else check.request_id(request_id)
        given = {**arguments, "request_id": key, "notify": notify}
        return self._opened(Request(f"earwitness.{task}", _given(given), request_id=key), key)

    def open_day(self, *, account: str, day: str, notify: Notify | None) -> Job[Any]:
        """Ask for a day's export, whose key is the day: its job's id is that of the first run."""
        given = {"account": account, "day": day, "notify": notify}
        return self._opened(Request("earwitness.export.run", _given(given)), f"day:{day}#1")

    def _opened(self, request: Request, key: str) -> Job[Any]:
        account = request.arguments.get("account", EVERY_ACCOUNT)
        self._line.send(request)
        return Job(self._line, request, job_id(account, request.task, key))


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    """What is not left out; of what all tasks have in common, checked."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if "account" in arguments:
        given["account"] = check.alias(arguments["account"])
    if "notify" in given:
        given["notify"] = check.notify(given["notify"])
    return given
