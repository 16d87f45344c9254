"""The result backend: stores a job's outcome, but never an error of Redis as an outcome.

Celery stores an error that happens while it stores a result as the task's own failure. For a job,
the ledger has the outcome, and a message delivers the result once Redis is back.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from celery import states
from celery.backends.redis import RedisBackend
from celery.exceptions import NotRegistered
from redis.commands.core import Script

from tasks.runtime.entry import JobTask
from tasks.runtime.messages import REFUSED
from tasks.runtime.redis_errors import BROKER_AWAY

from . import unknown_tasks

_log = logging.getLogger(__name__)


#: Stores a state and tells whoever waits for it, unless the task has succeeded before: Celery's own
#: rule, which it keeps with a read before each write, and not against a neighbour between the two.
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


class ResultBackend(RedisBackend):
    """Celery's Redis backend, which stores no network error as a result."""

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

        STARTED is stored only if Redis accepts it, because its loss is no failure. For a message
        refused as a false hint it is not stored, because its id may belong to another task.
        """
        if state == states.STARTED and getattr(request, REFUSED, None):
            return result
        try:
            return super().store_result(task_id, result, state, traceback, request, **options)
        except BROKER_AWAY as error:
            # Raised, the error would end the task before its job is in the ledger, although its
            # message is acknowledged.
            if state != states.STARTED:
                raise
            _log.info("the start of task %s was not stored in Redis (%s)", task_id, error)
            return result

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
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        meta["task_id"] = task_id
        arguments = [self.encode(meta), int(self.expires)]
        self.ensure(self._store, ([self.get_key_for_task(task_id)], arguments))
        return result

    @cached_property
    def _store(self) -> Script:
        return self.client.register_script(_STORE)

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
        if isinstance(exc, BROKER_AWAY) and isinstance(task, JobTask):
            _log.warning("the result of task %s will be stored again later (%s)", task_id, exc)
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
