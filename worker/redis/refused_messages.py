"""Answers to messages that are set aside: their senders learn that nothing was done.

A message is answered only as far as its headers can be read: it must name a task and the task's id.
The body is never decoded here, since it may be a pickle.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from celery import current_app, states

from config.queues import FRONT_DOOR
from tasks import errors
from tasks.runtime.context import ledger
from tasks.runtime.fields import check_task_id
from tasks.runtime.flusher import flusher
from tasks.runtime.refusals import refusals

_log = logging.getLogger(__name__)

#: More answers that wait for Redis or the ledger are dropped, the oldest first.
_MOST_WAITING = 1000
#: The headers of a longer message are not read.
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class _Refused:
    task_id: str
    task: str
    error: errors.JobError
    ignore_result: bool


class RefusedMessages:
    """The messages that were set aside and are not answered yet; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Refused] = deque(maxlen=_MOST_WAITING)

    def add(self, item: bytes, queue: str, error: errors.JobError) -> None:
        """Have the sender of a message answered soon, if the message says where."""
        if queue != FRONT_DOOR:
            return  # the messages of other queues are our own, and their jobs continue
        headers = _headers(item)
        if headers is None:
            return
        one = _Refused(headers["id"], headers["task"], error, headers.get("ignore_result") is True)
        with self._lock:
            self._waiting.append(one)
        flusher.ask("answers to refused messages", self.write)

    def write(self) -> None:
        """Store the answers. Raises RedisError, OSError and LedgerAway; call again then."""
        while True:
            with self._lock:
                one = self._waiting.popleft() if self._waiting else None
            if one is None:
                return
            try:
                _answer(one)
            except Exception:
                with self._lock:
                    self._waiting.appendleft(one)
                raise


refused_messages = RefusedMessages()


def refusal(reason: str) -> errors.InvalidArgument:
    """Return what the sender of a message is answered that cannot be understood."""
    return errors.InvalidArgument(
        f"not done: message: {reason}; no job was opened; send the task as JSON "
        '(task_serializer="json"); the worker has set the message aside (earwitness messages)'
    )


def failure(reason: str) -> errors.Uncertain:
    """Return what the sender is answered of a message over which workers died or failed."""
    error = errors.Uncertain(
        f"unknown: message: {reason}; no job was opened; if it was to change a job, look at "
        "job.status; the worker has set the message aside (earwitness messages)"
    )
    error.is_outcome = False
    return error


def _answer(one: _Refused) -> None:
    """Store the refusal, unless a task of the same id has a job or was answered before."""
    if ledger().waiters.job_of(one.task_id) is not None:
        _log.warning("a message was refused, but its task's id is that of another's job")
        return
    backend = current_app.backend
    stored = backend.get_task_meta(one.task_id, cache=False)
    if stored["status"] in states.READY_STATES:
        return
    if one.error.is_outcome:
        refusals.add(one.task_id, one.task, one.error)
    if not one.ignore_result:
        backend.store_result(one.task_id, one.error, states.FAILURE)


def _headers(item: bytes) -> dict[str, Any] | None:
    """Return the headers of a message that name a task and its id, None if there are none."""
    if len(item) > _MAX_BYTES:
        return None
    try:
        headers = json.loads(item)["headers"]
        check_task_id(headers["id"], is_key=False)
        task = headers["task"]
        return headers if isinstance(task, str) and task.isprintable() else None
    except (LookupError, RecursionError, TypeError, ValueError, errors.InvalidArgument):
        return None
