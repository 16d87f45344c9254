"""Celery's thread pool, which survives failures outside a task's own code.

Celery 5.7 ignores such failures: the message stays in hand, and after as many failures as the
worker has threads, the worker looks alive but takes no further message. This pool returns the
message to its queue; a message that fails repeatedly is set aside (`redelivery.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from celery import concurrency
from celery.app import trace
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.worker import state
from celery.worker.request import Request

_log = logging.getLogger(__name__)


class Threads(TaskPool):
    """Celery's thread pool, which returns the message of a task that could not be run."""

    def on_apply(
        self, *arguments: Any, error_callback: Callable[..., Any] | None = None, **options: Any
    ) -> ApplyResult:
        """Run a task in a thread."""
        result = super().on_apply(*arguments, **options)
        request = getattr(error_callback, "__self__", None)
        if isinstance(request, Request):
            result.f.add_done_callback(partial(_give_back, request))
        return result


def install_thread_pool() -> None:
    """Make Celery's name for its thread pool, `threads`, mean this pool."""
    concurrency.ALIASES["threads"] = f"{__name__}:{Threads.__name__}"


def install_rejection_log() -> None:
    """Log a message that goes back to its queue in one line: nothing failed."""
    trace.log_policy_reject = trace.log_policy_reject._replace(severity=logging.INFO, traceback=0)


def _give_back(request: Request, future: Future[Any]) -> None:
    """Return the message to its queue if its thread ended with an exception, and count that."""
    error = None if future.cancelled() else future.exception()
    if error is None:
        return
    _log.error(
        "task %s failed outside its own code; its message is put back", request.id, exc_info=error
    )
    state.task_ready(request)
    request.message.channel.qos.blame(request.message.delivery_tag)
    request.reject(requeue=True)
