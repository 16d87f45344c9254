"""Celery's commands of remote control that a worker refuses, each with a sentence that says why.

Flower's buttons and ``celery -A worker control`` show the sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker.control import Panel

from worker.drain import drain

_THREADS = (
    "not done: a worker's number of threads is fixed at its start; start it with another "
    "--concurrency, or start another worker"
)
_NO_TIME_LIMIT = (
    "not done: tasks run in threads, which Celery cannot interrupt; every request to a provider "
    "has the account's timeout_seconds, and a job can be cancelled: earwitness cancel JOB"
)
_NO_RATE_LIMIT = (
    "not done: the worker would hold back messages that other workers could carry out; limit the "
    "calls to a provider by the account's rate, which all workers share"
)
_NO_RESTART = (
    "not done: the threads of a worker cannot be replaced; drain the worker and start it again: "
    "earwitness drain --node NODE --wait"
)
_NO_NAME = "not done: this is not the name of a queue"
_REFUSED = {
    "autoscale": _THREADS,
    "pool_grow": _THREADS,
    "pool_shrink": _THREADS,
    "pool_restart": _NO_RESTART,
    "rate_limit": _NO_RATE_LIMIT,
    "time_limit": _NO_TIME_LIMIT,
}


def install_refusals() -> None:
    """Make this process' worker refuse what its pool and its tasks cannot do."""
    for name, sentence in _REFUSED.items():
        Panel.data[name] = _refusing(sentence)
    Panel.data["add_consumer"] = _add_consumer
    Panel.data["cancel_consumer"] = _cancel_consumer


def _refusing(sentence: str) -> Callable[..., Any]:
    def refuse(_state: Any, *_arguments: Any, **_named: Any) -> dict[str, str]:
        return {"error": sentence}

    return refuse


def _add_consumer(
    state: Any,
    queue: Any,
    exchange: Any = None,
    exchange_type: Any = None,
    routing_key: Any = None,
    **options: Any,
) -> dict[str, str]:
    """Consume one more queue.

    Celery answers before it does so, and may do it before an earlier command to cancel the queue.
    """
    if drain.is_on:
        return {
            "error": "not done: the worker is drained and takes no work; to resume: "
            f"earwitness undrain --node {state.hostname}"
        }
    if not is_queue_name(queue):
        return {"error": _NO_NAME}
    consumer = state.consumer
    consumer.add_task_queue(queue, exchange, exchange_type or "direct", routing_key, **options)
    if not consumer.task_consumer.consuming_from(queue):
        return {"error": "not done: the queue cannot be read; see the worker's log"}
    return {"ok": f"add consumer {queue}"}


def _cancel_consumer(state: Any, queue: Any, **_options: Any) -> dict[str, str]:
    """Consume a queue no longer."""
    if not is_queue_name(queue):
        return {"error": _NO_NAME}
    consumed = [one.name for one in state.consumer.task_consumer.queues]
    if queue not in consumed:
        return {
            "error": f"not done: the worker does not consume {queue}, but "
            f"{', '.join(consumed) or 'no queue'}"
        }
    state.consumer.cancel_task_queue(queue)
    return {"ok": f"no longer consuming from {queue}"}


def is_queue_name(name: Any) -> bool:
    """Return whether a queue may have this name."""
    return isinstance(name, str) and name != "" and name.isprintable()
