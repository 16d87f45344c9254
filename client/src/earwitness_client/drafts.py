"""Requests made from a task's arguments, before they are sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from . import arguments as check
from .arguments import Notify
from .request import EVERY_ACCOUNT, Request, id_of_job


def plain_request(task: str, question: bool, arguments: Mapping[str, Any]) -> Request:
    """Return the request of a task that opens no job; a ``question`` changes nothing."""
    return Request(f"earwitness.{task}", _checked(arguments, ""), question=question)


def job_request(
    task: str,
    request_id: str | None,
    notify: Notify | None,
    arguments: Mapping[str, Any],
    queue: str,
) -> Request:
    """Return the request of a job, under the caller's request id or a new one.

    ``queue`` is the worker's, where no notification may go.
    """
    key = str(uuid.uuid4()) if request_id is None else check.request_id(request_id)
    given = _checked({**arguments, "request_id": key, "notify": notify}, queue)
    return _job(f"earwitness.{task}", given, key, request_id=key)


def day_request(account: str, day: str, notify: Notify | None, queue: str) -> Request:
    """Return the request of a day's export, whose key is the day."""
    given = _checked({"account": account, "day": day, "notify": notify}, queue)
    return _job("earwitness.export.run", given, f"day:{day}#1", request_id=None)


def _job(task: str, given: dict[str, Any], key: str, *, request_id: str | None) -> Request:
    account = given.get("account", EVERY_ACCOUNT)
    return Request(task, given, request_id=request_id, job_id=id_of_job(account, task, key))


def _checked(arguments: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return the arguments that are not None, with the common ones checked."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if "account" in arguments:
        given["account"] = check.alias(arguments["account"])
    if "notify" in given:
        given["notify"] = check.notify(given["notify"], queue)
    return given
