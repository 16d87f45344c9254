"""A request: the task to send, its arguments and its ids."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: Stands for all accounts in the id of ``archive.verify``; no account has this name.
EVERY_ACCOUNT = "*"


def id_of_job(account: str, task: str, request_id: str) -> str:
    """Return the id of a job, known before any worker knows the job.

    It is the UUIDv5 of ``earwitness:<account>:<task name>:<request id>`` in the URL name space.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"earwitness:{account}:{task}:{request_id}"))


@dataclass(frozen=True, repr=False)
class Request:
    """A request. ``task`` is the task's whole name.

    A ``question`` changes nothing, even if sent twice. ``request_id`` is None if the task takes
    none. ``job_id`` is the id of the job that the task opens, None if it opens none.
    ``arguments_known`` is False for the request of an attached job, which cannot be sent again.
    """

    task: str
    arguments: Mapping[str, Any]
    request_id: str | None = None
    question: bool = False
    job_id: str | None = None
    arguments_known: bool = True
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def fixes_job_id(self) -> bool:
        """Whether ``job_id`` is the only job that may answer.

        A day's export may be answered by a later run of the day.
        """
        return self.job_id is not None and (self.request_id is not None or not self.arguments_known)

    def anew(self) -> Request:
        """Return the same request under a task id of its own."""
        return replace(self, task_id=str(uuid.uuid4()))

    def __repr__(self) -> str:
        """Name the request without what its arguments say."""
        return f"<Request {self.shown}>"

    @property
    def shown(self) -> str:
        """The ids and the task, without what the arguments say; only the account is named."""
        named = {
            "account": self.arguments.get("account"),
            "request_id": self.request_id,
            "task_id": self.task_id,
        }
        given = " ".join(f"{name}={value}" for name, value in named.items() if value)
        return " ".join(filter(None, (self.job_id, self.task, given)))

    @property
    def repetition(self) -> str:
        """Advice for a caller who does not know whether the request was sent."""
        if not self.arguments_known:
            return "ask again: the job, if there is one, continues"
        if self.request_id is not None:
            same = f"send it again under the same request id ({self.request_id})"
            return f"{same}: it will be done only once"
        if self.question:
            return "ask again: a question changes nothing"
        if self.task == "earwitness.export.run":
            return "send it again: the day is its key, so it will be done only once"
        return "look at job.status before you send it again"
