"""The queues, and the keys of messages in hand: needed where no configuration is."""

from __future__ import annotations

#: Where other applications send their tasks. The queue ``celery`` is never consumed: on a shared
#: database each side would take and discard the other's messages.
FRONT_DOOR = "earwitness"
#: Filled by sweepers alone: short actions and answers, and transfers.
DUE = "earwitness.due"
DOWNLOADS = "earwitness.downloads"
INNER = (DUE, DOWNLOADS)

#: Messages in hand, under keys of our own (config/celery.py says why).
UNACKED = "earwitness.unacked"
UNACKED_INDEX = "earwitness.unacked_index"
UNACKED_MUTEX = "earwitness.unacked_mutex"

#: When each process that takes messages was last seen, by Redis' clock.
HOLDERS = "earwitness.holders"

#: Messages that cannot be understood, and when each was set aside.
SET_ASIDE = "earwitness.set_aside"
SET_ASIDE_INDEX = "earwitness.set_aside_index"

#: Stands in Redis so that two deployments on one database notice each other.
IDENTITY = "earwitness.ledger"
#: What producers may read: that a deployment's workers use this database, and, before a queue's
#: name, that one of them listens there now.
HERE = "earwitness.here"
LISTENING = "earwitness.listening."
#: Before a worker's node name: the last process to use that name.
NODE = "earwitness.node."
#: Before a key of ours: what lay there and was of another type.
MISPLACED = "earwitness.misplaced."

_OWN_PREFIXES = (
    DUE,
    DOWNLOADS,
    UNACKED,
    SET_ASIDE,
    IDENTITY,
    HERE,
    LISTENING,
    HOLDERS,
    NODE,
    MISPLACED,
    "earwitness.flower.",
    "earwitness.holders",
    "earwitness.misplaced.",
)
#: What Celery and kombu keep in Redis beside queues, for everybody.
_CELERY_PREFIXES = ("_kombu.", "celery-task-meta-", "celery-taskset-meta-", "celeryev", "unacked")


def is_own(queue: str) -> bool:
    """Whether nobody may be notified in a queue of this name: Earwitness consumes it, or keeps
    something else under that key, or Celery does.
    """
    return (
        queue == FRONT_DOOR
        or queue.startswith((*_OWN_PREFIXES, *_CELERY_PREFIXES, "/"))
        or ".celery.pidbox" in queue
        or not queue.isprintable()
    )
