"""Draining: a worker that is drained takes no work, and finishes or hands over what it has.

Its consumer stops reading queues. Short tasks in hand are finished; transfers stop at their next
piece, and another worker continues their jobs there. Draining belongs to the process: it holds
while the worker connects to Redis again, and a restarted worker takes work.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.worker import state as requests
from celery.worker.control import control_command, inspect_command

from config.version import VERSION
from tasks.runtime.context import ledger, stopping
from tasks.runtime.flusher import flusher

from .control_names import DRAIN_COMMAND, STATE_COMMAND, UNDRAIN_COMMAND
from .health.heartbeat import heartbeat
from .health.heartbeat_files import STOPPING
from .loops import loops

_log = logging.getLogger(__name__)


class Drain:
    """Whether this worker is drained. All methods run in the consumer's thread."""

    def __init__(self) -> None:
        #: The queues that the worker consumed before, None while it is not drained.
        self._queues: list[str] | None = None

    @property
    def is_on(self) -> bool:
        """Whether the worker takes no work."""
        return self._queues is not None

    def begin(self, consumer: Any) -> None:
        """Stop reading queues, and have transfers hand their jobs over."""
        if self._queues is not None:
            return
        self._queues = [queue.name for queue in consumer.task_consumer.queues]
        for queue in self._queues:
            consumer.cancel_task_queue(queue)
        stopping.set()
        heartbeat.drained(True)
        _log.warning("the worker is drained: it takes no work, and finishes or hands over its own")

    def end(self, consumer: Any) -> None:
        """Read the queues again."""
        if self._queues is None:
            return
        queues, self._queues = self._queues, None
        stopping.clear()
        for queue in queues:
            consumer.add_task_queue(queue)
        heartbeat.drained(False)
        _log.warning("the worker is no longer drained: it takes work from %s", ", ".join(queues))


drain = Drain()


def work_in_hand() -> int:
    """Return how many tasks and jobs this process still has, its last writes included."""
    tasks = len({*requests.reserved_requests, *requests.active_requests})
    return max(tasks, ledger().leases.count(), 0 if flusher.is_idle else 1)


def _is_stopping() -> bool:
    mark = heartbeat.mark()
    return mark is not None and mark.phase == STOPPING


@control_command(name=DRAIN_COMMAND)
def begin_drain(state: Any) -> dict[str, Any]:
    """Take no more work, and finish or hand over what runs."""
    if _is_stopping():
        return {"error": "the worker is stopping: it takes no work and ends soon"}
    drain.begin(state.consumer)
    return {"ok": "takes no more work", **_described()}


@control_command(name=UNDRAIN_COMMAND)
def end_drain(state: Any) -> dict[str, Any]:
    """Take work again."""
    if _is_stopping():
        return {"error": "the worker is stopping; start it again"}
    was_on = drain.is_on
    drain.end(state.consumer)
    return {"ok": "takes work again" if was_on else "was not drained", **_described()}


@inspect_command(name=STATE_COMMAND)
def worker_state(state: Any) -> dict[str, Any]:
    """Return the worker's version, phase, slots and work in hand, and what it waits for."""
    slots = state.consumer.pool.limit
    return {
        **_described(),
        "slots": slots,
        "slots_in_use": min(len(requests.active_requests), slots),
    }


def _described() -> dict[str, Any]:
    mark = heartbeat.mark()
    return {
        "version": VERSION,
        "phase": mark.phase if mark is not None else "",
        "is_drained": drain.is_on and work_in_hand() == 0,
        "in_hand": work_in_hand(),
        "late": [[one.loop, one.needs, round(one.seconds)] for one in loops.late()],
    }
