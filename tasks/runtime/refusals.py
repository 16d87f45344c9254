"""Refusals: requests that opened no job, which callers may ask for by task id for a day.

The result under the task's id says the same. But a caller may have it forgotten, or may have sent
the message with ``ignore_result``. Refusals lie in Redis under keys of our own, so a Redis that is
emptied loses them: the same request is then refused again when it is sent again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from celery import Task, current_app

from config.queues import REFUSED as KEY
from config.settings import settings
from ledger.core.job import iso
from tasks import errors

from .fields import check_task_id
from .flusher import flusher
from .messages import JOB_OF_ANSWER
from .redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)

#: What the state of a refused request is called, beside the states of jobs.
STATE = "refused"
#: More that wait for Redis are not kept.
_MOST_WAITING = 10_000


@dataclass(frozen=True)
class Refusal:
    """Why a request opened no job: the name and the message of its exception.

    ``kind`` is the task's name without our prefix; ``at`` is in seconds since 1970.
    """

    type: str
    message: str
    kind: str
    at: float

    @property
    def error(self) -> dict[str, str]:
        """The exception as the ledger stores those of jobs."""
        return {"type": self.type, "message": self.message}

    def view(self) -> dict[str, Any]:
        """Return the fields of a job's view; there is no job, so most are empty."""
        return {
            "job_id": "",
            "kind": self.kind,
            "account": "",
            "request_id": "",
            "state": STATE,
            "reason": self.message,
            "attempts": 0,
            "next_attempt_at": None,
            "created_at": iso(self.at),
            "updated_at": iso(self.at),
            "result": None,
            "error": self.error,
        }


class Refusals:
    """The refusals of this deployment; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Refusal] = {}

    def add(self, task_id: object, task: object, error: BaseException) -> None:
        """Have a refusal stored soon.

        One under an id or a task's name that nobody could ask for is not stored.
        """
        try:
            check_task_id(task_id, is_key=False)  # type: ignore[arg-type] # it checks the type too
        except errors.InvalidArgument:
            return
        kind = str(task).removeprefix("earwitness.")
        message = str(error.args[0] if error.args else error)  # KeyError's text has quotes
        refusal = Refusal(type(error).__name__, message, kind, time.time())
        with self._lock:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting[str(task_id)] = refusal
        flusher.ask("refusals", self.write)

    def write(self) -> None:
        """Store the refusals. Raises RedisError and OSError; call again then."""
        with self._lock:
            waiting = dict(self._waiting)
        if not waiting:
            return
        seconds = int(current_app.conf.result_expires)
        with current_app.backend.client.pipeline(transaction=False) as pipe:
            for task_id, refusal in waiting.items():
                pipe.setex(_key(task_id), seconds, json.dumps(asdict(refusal)))
            pipe.execute()
        with self._lock:
            for task_id, refusal in waiting.items():
                if self._waiting.get(task_id) is refusal:
                    del self._waiting[task_id]

    def of(self, task_id: str) -> Refusal | None:
        """Return the refusal of a task's request, None if there is none. Raises RedisError."""
        with self._lock:
            waiting = self._waiting.get(task_id)
        if waiting is not None:
            return waiting
        stored = current_app.backend.client.get(_key(task_id))
        try:
            return None if stored is None else Refusal(**json.loads(stored))
        except (TypeError, ValueError):
            return None  # another version's

    @contextmanager
    def kept(self, task: Task) -> Iterator[None]:
        """Store an error of ours that ends the task before a job answers it.

        Whoever has seen the task's result finds the refusal: it is stored before.
        """
        try:
            yield
        except errors.JobError as error:
            if error.is_outcome and not task.request.get(JOB_OF_ANSWER):
                self.add(task.request.id, task.name, error)
                self._write_now()
            raise

    def _write_now(self) -> None:
        try:
            self.write()
        except BROKER_AWAY as error:
            _log.info("refusals are stored once Redis is back (%s)", error)


def _key(task_id: str) -> str:
    return settings().redis_key(f"{KEY}{task_id}")


refusals = Refusals()
