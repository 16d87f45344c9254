"""The result backend: stores a job's outcome, but never an error of Redis as an outcome.

Celery stores an error that happens while it stores a result as the task's own failure. For a job,
the ledger has the outcome, and a message delivers the result once Redis is back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from celery import states
from celery.backends.redis import CHORD_PART_RETURN_LUA, RedisBackend
from celery.exceptions import NotRegistered
from kombu.exceptions import OperationalError
from redis.commands.core import Script

from config.queues import FRONT_DOOR, INNER
from config.version import VERSION
from ledger.errors import LedgerError
from tasks.errors import JobError
from tasks.runtime import canvas
from tasks.runtime.context import ledger
from tasks.runtime.entry import JobTask
from tasks.runtime.flusher import flusher
from tasks.runtime.messages import JOB_OF_ANSWER, REFUSED
from tasks.runtime.redis_errors import BROKER_AWAY, is_away

from . import unknown_tasks

_log = logging.getLogger(__name__)

#: The field of a stored state that names the version of the worker, and the job.
ANSWERED = "earwitness"

#: Stores a state and publishes it to those who wait, unless the task has succeeded before. That is
#: Celery's own rule; Celery reads before each write, and so misses a write between the two.
_STORE = """
local stored = redis.call('GET', KEYS[1])
if stored then
  local is_read, before = pcall(cjson.decode, stored)
  if is_read and type(before) == 'table' and before['status'] == 'SUCCESS' then return 0 end
end
redis.call('SETEX', KEYS[1], ARGV[2], ARGV[1])
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
"""


class Starts:
    """Tasks that have started; ``store`` stores the state of all of them.

    Raised by a task's own thread, an error of Redis would end the task before its job is in the
    ledger, although its message is acknowledged.
    """

    def __init__(self, store: Callable[[Mapping[str, Any]], None]) -> None:
        self._store = store
        self._waiting: dict[str, Any] = {}
        #: Held while the states are stored: a later state of the same task comes afterwards.
        self._lock = threading.Lock()

    def add(self, task_id: str, value: Any) -> None:
        """Have a task's state stored soon."""
        self._waiting[task_id] = value
        flusher.ask("starts", self.write)

    def drop(self, task_id: str) -> None:
        """Forget a task's state, because a later one is about to be stored."""
        with self._lock:
            self._waiting.pop(task_id, None)

    def write(self) -> None:
        """Store the states. Raises RedisError and OSError; call again then."""
        with self._lock:
            started = dict(self._waiting)
            if started:
                self._store(started)
            for task_id in started:
                self._waiting.pop(task_id, None)


class ChordClaimed(OperationalError):
    """Another worker sends the chord's body, or was killed when it was about to."""


class ResultBackend(RedisBackend):
    """Celery's Redis backend, which stores no network error as a result."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._starts = Starts(self._store_starts)

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **options: Any,
    ) -> Any:
        """Store a state.

        STARTED is stored soon, together with others, unless the task is over before. For a message
        refused as a false hint it is not stored, because its id may belong to another task.
        """
        if state == states.STARTED:
            if not getattr(request, REFUSED, None):
                self._starts.add(task_id, self._encoded(task_id, result, state, traceback, request))
            return result
        self._starts.drop(task_id)
        return super().store_result(task_id, result, state, traceback, request, **options)

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **_options: Any,
    ) -> Any:
        """Store a state with one command."""
        value = self._encoded(task_id, result, state, traceback, request)
        self.ensure(self._store, (self._arguments(task_id, value)))
        return result

    def _encoded(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> Any:
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        # The client library reads this: who answered, and about which job.
        job_id = getattr(request, JOB_OF_ANSWER, None)
        answered = {"version": VERSION, **({"job_id": job_id} if job_id else {})}
        return self.encode(
            {**meta, **_shown(meta, request), "task_id": task_id, ANSWERED: answered}
        )

    def _arguments(self, task_id: str, value: Any) -> tuple[list[Any], list[Any]]:
        """Return the keys and the arguments of the script that stores a state."""
        return [self.get_key_for_task(task_id)], [value, int(self.expires)]

    def _store_starts(self, started: Mapping[str, Any]) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            for task_id, value in started.items():
                self._store(*self._arguments(task_id, value), client=pipe)
            pipe.execute()

    @cached_property
    def _store(self) -> Script:
        return self.client.register_script(_STORE)

    @cached_property
    def _chord_part_return_script(self) -> Callable[..., Any]:
        """Celery's script, which counts a part of a chord and claims the body of a complete one.

        A task whose part came last is answered again as long as another worker has the claim: that
        worker may have been killed before it sent the body.
        """
        script: Script = self.client.register_script(CHORD_PART_RETURN_LUA)

        def count(**given: Any) -> Any:
            ready, difference, size, claimed = counted = script(**given)
            if size and not claimed and ready == int(size) + int(difference or 0):
                raise ChordClaimed("the chord is complete, but its body may not be sent yet")
            return counted

        return count

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: Any = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """Store an exception, unless it only means that a job's outcome could not be stored."""
        if isinstance(exc, NotRegistered):
            exc = unknown_tasks.refusal(getattr(request, "name", None), self.app.tasks)
        # For an unknown task, Celery passes another object than a request.
        task = self.app.tasks.get(getattr(request, "task", None))
        if isinstance(task, JobTask) and not isinstance(exc, JobError):
            fires = canvas.is_present(request)
            if isinstance(exc, BROKER_AWAY) and not (fires and not is_away(exc)):
                _log.warning("the result of task %s will be stored again later (%s)", task_id, exc)
                return
            if fires:
                _answer_without_canvas(task_id, exc)
                return
        super().mark_as_failure(
            task_id,
            exc,
            traceback=traceback,
            request=request,
            store_result=store_result,
            call_errbacks=call_errbacks,
            state=state,
        )


def _answer_without_canvas(task_id: str, error: BaseException) -> None:
    """Have the task answered, after Celery could not send what its message asks for."""
    _log.error(
        "what follows from task %s cannot be sent (%s); its result is stored without that",
        *(task_id, type(error).__name__),
    )
    try:
        ledger().waiters.drop_canvas(task_id)
    except LedgerError as away:
        _log.warning("%s; the task is answered again later", away)


def _shown(meta: Mapping[str, Any], request: Any) -> dict[str, Any]:
    """Return what replaces personal data, and the inner queues, in an extended result."""
    if "kwargs" not in meta:
        return {}
    is_ours = str(meta["name"]).startswith("earwitness.")
    return {
        "args": getattr(request, "argsrepr", None) if is_ours else None,
        "kwargs": getattr(request, "kwargsrepr", None) if is_ours else None,
        "queue": FRONT_DOOR if meta["queue"] in INNER else meta["queue"],
    }
