"""The worker's queue on its Redis: its keys, messages and stored states, as steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from .addresses import Address
from .errors import Closed, MaybeQueued, NotSent
from .messages import Messages
from .operations import Ask, Push, Steps
from .redis_faults import AWAY
from .request import Request
from .stored import Stored

#: The key of a task's state in Celery's result backends.
_RESULT_KEY = "celery-task-meta-{}"
#: Keys that workers write for producers: a worker uses this database, a worker listens on a queue.
_HERE, _LISTENING = "earwitness.here", "earwitness.listening."
#: So many states are read together.
_READ_TOGETHER = 500


class WorkerQueue:
    """What the client does with the worker's Redis.

    ``queue`` is the queue that the worker consumes, ``address`` says where it is.
    """

    def __init__(self, address: Address, queue: str) -> None:
        self.name: str = queue
        self.key: str = address.prefix + queue
        #: The server, database, queue and prefix of the requests, without user and password.
        self.place: str = address.place(queue)
        self._prefix = address.prefix
        self._messages = Messages(queue)

    def encode(self, request: Request) -> str:
        """Return the message of a request."""
        return self._messages.encode(request)

    def send(self, *requests: Request) -> Steps[None]:
        """Push requests to the queue within two seconds. Raises NotQueued or MaybeQueued."""
        try:
            yield Push(requests)
        except NotSent as error:
            raise for_caller(error, requests) from error.__cause__

    def stored(self, task_ids: Sequence[str]) -> Steps[list[Stored]]:
        """Return what Celery's result backend stores for tasks; empty where it stores nothing.

        Raises RedisError or OSError, within two seconds for every 500 tasks.
        """
        found: list[Stored] = []
        for start in range(0, len(task_ids), _READ_TOGETHER):
            keys = [self.result_key(one) for one in task_ids[start : start + _READ_TOGETHER]]
            replies = yield Ask(tuple(("GET", key) for key in keys))
            found += [_decoded(one) for one in replies]
        return found

    def result_key(self, task_id: str) -> str:
        """Return the key under which a task's state is stored and published."""
        return self._prefix + _RESULT_KEY.format(task_id)

    def listeners(self) -> Steps[Literal["now", "before", "never"]]:
        """Return whether a worker listens on the queue now, did so before, or never did.

        Raises RedisError (also if the user may not read that) or OSError, within two seconds.
        """
        now, ever = yield Ask(
            (
                ("GET", f"{self._prefix}{_LISTENING}{self.name}"),
                ("GET", self._prefix + _HERE),
            )
        )
        if now is not None:
            return "now"
        return "never" if ever is None else "before"

    def queued(self) -> Steps[int]:
        """Return the queue's length. Raises RedisError or OSError, within two seconds."""
        (length,) = yield Ask((("LLEN", self.key),))
        return int(length)

    def is_empty(self) -> Steps[bool]:
        """Return whether no message waits for a worker; False if Redis does not answer."""
        try:
            return (yield from self.queued()) == 0
        except AWAY:
            return False


def _decoded(reply: Any) -> Stored:
    """Return a stored state; what is none of Celery's counts as nothing."""
    try:
        stored = json.loads(reply) if isinstance(reply, bytes | str) else {}
    except ValueError:
        return {}
    return stored if isinstance(stored, dict) and isinstance(stored.get("status"), str) else {}


def for_caller(error: NotSent, requests: Sequence[Request]) -> NotSent:
    """Return the error for the caller: whether the requests were sent, why not, and what to do."""
    first = requests[0]
    what, was, advice = first.task, "was", first.repetition
    if len(requests) > 1:
        what, was = f"{len(requests)} requests", "were"
        advice = (
            "send each again under its own request id (send_again): each will be done only once"
        )
    if isinstance(error, Closed):
        advice = f"create another client, and {advice}"
    is_unknown = isinstance(error, MaybeQueued)
    meaning = (
        f"unknown: {what} may be queued" if is_unknown else f"not done: {what} {was} not queued"
    )
    explained = type(error)(f"{meaning}: {error}; {advice}")
    explained.request_id = first.request_id if len(requests) == 1 else None
    return explained
