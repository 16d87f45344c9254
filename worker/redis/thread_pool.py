"""Celery's pool of threads, in which no failure outside a task's own code takes a thread's place.

Celery 5.7 forgets what goes wrong there: the message stays in hand, and once as many have failed as
the worker has threads, it takes no further one and looks alive. Here the message goes back to its
queue, and is set aside where that happens again and again (`in_hand.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from celery import concurrency
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.worker import state
from celery.worker.request import Request

_log = logging.getLogger(__name__)


class Threads(TaskPool):
    """Celery's pool of threads, which gives back the message of a task that could not be run."""

    def on_apply(
        self, *arguments: Any, error_callback: Callable[..., Any] | None = None, **options: Any
    ) -> ApplyResult:
        """Run a task in a thread."""
        result = super().on_apply(*arguments, **options)
        request = getattr(error_callback, "__self__", None)
        if isinstance(request, Request):
            result.f.add_done_callback(partial(_give_back, request))
        return result


def use_these_threads() -> None:
    """Let `threads`, the name that configuration and command line know, be this pool."""
    concurrency.ALIASES["threads"] = f"{__name__}:{Threads.__name__}"


def _give_back(request: Request, future: Future[Any]) -> None:
    """Return the message to its queue where its thread ended with an exception, and count that."""
    error = None if future.cancelled() else future.exception()
    if error is None:
        return
    _log.error("task %s stopped outside its own code; it is given back", request.id, exc_info=error)
    state.task_ready(request)
    request.message.channel.qos.blame(request.message.delivery_tag)
    request.reject(requeue=True)
