"""The names on the worker's Redis that Earwitness and Celery use themselves."""

from __future__ import annotations

#: Every task of Earwitness begins so.
TASK_PREFIX = "earwitness."
_QUEUES = frozenset({"earwitness"})
_PREFIXES = (
    "earwitness.due",
    "earwitness.downloads",
    "earwitness.unacked",
    "earwitness.set_aside",
    "earwitness.ledger",
    "earwitness.here",
    "earwitness.listening.",
    "earwitness.holders",
    "earwitness.node.",
    "earwitness.misplaced.",
    "earwitness.refused.",
    "earwitness.sent.",
    "earwitness.flower.",
    "_kombu.",
    "celery-task-meta-",
    "celery-taskset-meta-",
    "celeryev",
    "unacked",
    "/",
)


def is_own_queue(queue: str) -> bool:
    """Return whether no notification may go to a queue of this name."""
    return (
        queue in _QUEUES
        or queue.startswith(_PREFIXES)
        or ".celery.pidbox" in queue
        or not queue.isprintable()
    )
