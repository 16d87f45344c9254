"""A request: the task that is sent, its arguments, and what it is known by."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What ``archive.verify`` of every account runs under; no account is called so.
EVERY_ACCOUNT = "*"


def job_id(account: str, task: str, request_id: str) -> str:
    """The id of a job, known before any worker knows the job: UUIDv5 in the URL name space of
    ``earwitness:<account>:<task name>:<request id>``.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"earwitness:{account}:{task}:{request_id}"))


@dataclass(frozen=True)
class Request:
    """What is sent. ``task`` is the task's whole name.

    ``question`` says that it only asks, so that sending it twice changes nothing; ``request_id`` is
    None where the task takes none.
    """

    task: str
    arguments: Mapping[str, Any]
    request_id: str | None = None
    question: bool = False
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def repetition(self) -> str:
        """What is to be done where it is not known whether it was sent."""
        if self.request_id is not None:
            return f"send it again under the same request id ({self.request_id}): it is done once"
        if self.question:
            return "ask again: it only asks and changes nothing"
        if self.task == "earwitness.export.run":
            return "send it again: the day is its key, and it is done once"
        return "look at job.status before you send it again"
