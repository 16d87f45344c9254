"""Celery's thread pool, which survives failures outside a task's own code, and runs no task that
was revoked while its message waited for a thread.

Celery 5.7 ignores such failures: the message stays in hand, and after as many failures as the
worker has threads, the worker looks alive but takes no further message. This pool returns the
message to its queue; a message that fails repeatedly is set aside (`redelivery.py`).

Celery asks whether a task was revoked when its message arrives, and never again. Hints are
acknowledged when they begin, so behind long ones more messages may wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from celery import concurrency
from celery.app import trace
from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.worker import state
from celery.worker.request import Request

_log = logging.getLogger(__name__)


class Threads(TaskPool):
    """Celery's thread pool, which returns the message of a task that could not be run, and answers
    that of a revoked one.
    """

    def on_apply(
        self,
        *arguments: Any,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        error_callback: Callable[..., Any] | None = None,
        **_options: Any,
    ) -> ApplyResult:
        """Run a task in a thread; ``error_callback`` is a method of its request."""
        request = getattr(error_callback, "__self__", None)
        future = self.executor.submit(_run, request, *arguments, callback, accept_callback)
        if isinstance(request, Request):
            future.add_done_callback(partial(_give_back, request))
        return ApplyResult(future)


def _run(request: object, *applied: Any) -> None:
    """Run a task, unless it was revoked meanwhile: `revoked` answers and acknowledges it then."""
    if not (isinstance(request, Request) and request.revoked()):
        apply_target(*applied)


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
