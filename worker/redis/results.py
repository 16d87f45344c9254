"""Results in Redis: a job's outcome, or nothing; never that Redis was away.

Celery stores whatever happens while it stores a result as the task's own failure. For a job the
ledger knows the outcome, and a message of its own brings it once Redis is back.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import states
from celery.backends.redis import RedisBackend
from celery.exceptions import NotRegistered

from tasks.runtime.entry import JobTask
from tasks.runtime.messages import REFUSED
from tasks.runtime.redis_errors import BROKER_AWAY

from . import unknown_tasks

_log = logging.getLogger(__name__)


class Outcomes(RedisBackend):
    """Celery's backend, which keeps the network's errors to itself."""

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **options: Any,
    ) -> Any:
        """Store a state. That a task has begun is told where Redis takes it, and is no failure; of
        a message that is refused as a hint it is not told, since its id may be another's.
        """
        if state == states.STARTED and getattr(request, REFUSED, None):
            return result
        try:
            return super().store_result(task_id, result, state, traceback, request, **options)
        except BROKER_AWAY as error:
            # Raised, it would end the task before it opens its row, with its message acknowledged.
            if state != states.STARTED:
                raise
            _log.info("that task %s has begun is told to nobody (%s)", task_id, error)
            return result

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
        """Store an exception, unless it only says that a job's outcome could not be stored."""
        if isinstance(exc, NotRegistered):
            exc = unknown_tasks.refusal(getattr(request, "name", None), self.app.tasks)
        # Celery hands over other things than a request, too: for a task that nobody knows.
        task = self.app.tasks.get(getattr(request, "task", None))
        if isinstance(exc, BROKER_AWAY) and isinstance(task, JobTask):
            _log.warning("task %s is answered once more later (%s)", task_id, exc)
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
