"""A request: the task to send, its arguments and its ids."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Stands for all accounts in the id of ``archive.verify``; no account has this name.
EVERY_ACCOUNT = "*"


def job_id(account: str, task: str, request_id: str) -> str:
    """Return the id of a job, known before any worker knows the job.

    It is the UUIDv5 of ``earwitness:<account>:<task name>:<request id>`` in the URL name space.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"earwitness:{account}:{task}:{request_id}"))


@dataclass(frozen=True)
class Request:
    """A request. ``task`` is the task's whole name.

    A ``question`` changes nothing, even if sent twice. ``request_id`` is None if the task takes
    none.
    """

    task: str
    arguments: Mapping[str, Any]
    request_id: str | None = None
    question: bool = False
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def repetition(self) -> str:
        """Advice for a caller who does not know whether the request was sent."""
        if self.request_id is not None:
            return f"send it again under the same request id ({self.request_id}): it is done once"
        if self.question:
            return "ask again: it only asks and changes nothing"
        if self.task == "earwitness.export.run":
            return "send it again: the day is its key, and it is done once"
        return "look at job.status before you send it again"
