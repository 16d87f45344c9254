"""The names of queues and Redis keys, usable without a configuration."""

from __future__ import annotations

#: Every task of ours begins so.
TASK_PREFIX = "earwitness."
#: The queue for other applications' tasks. Celery's default queue ``celery`` is never consumed: on
#: a shared database each side would take and discard the other's messages.
FRONT_DOOR = "earwitness"
#: Only sweepers fill these two: short actions and answers, and transfers.
DUE = "earwitness.due"
DOWNLOADS = "earwitness.downloads"
INNER = (DUE, DOWNLOADS)

#: Messages in hand, under our own keys (config/celery.py has the reason).
UNACKED = "earwitness.unacked"
UNACKED_INDEX = "earwitness.unacked_index"
UNACKED_MUTEX = "earwitness.unacked_mutex"

#: When each consuming process was last seen, by Redis' clock.
HOLDERS = "earwitness.holders"

#: Invalid messages, and when each was set aside.
SET_ASIDE = "earwitness.set_aside"
SET_ASIDE_INDEX = "earwitness.set_aside_index"

#: The oldest message of each queue, and since when it has been the oldest, by Redis' clock.
OLDEST = "earwitness.oldest"

#: When a worker last planned the nights for a tick of beat, by the ledger's clock.
TICKED = "earwitness.ticked"

#: The ledger's identity in Redis, by which two deployments on one database notice each other.
IDENTITY = "earwitness.ledger"
#: Producers may read these: a deployment's workers use this database; before a queue's name, one of
#: the workers listens to the queue now.
HERE = "earwitness.here"
LISTENING = "earwitness.listening."
#: Before an account's alias: a worker that accepts tasks knows the account.
KNOWS = "earwitness.knows."
#: Before a spool's id: a worker that fetches files has that spool.
SPOOL = "earwitness.spool."
#: Before a worker's node name: the last process that used the name.
NODE = "earwitness.node."
#: Before a digest: the mark of a message that was sent at the end of a task.
SENT = "earwitness.sent."
#: Before a key of ours: a value of a wrong type that was moved aside.
MISPLACED = "earwitness.misplaced."
#: Before the id of a task whose request opened no job: why it was refused, for a day.
REFUSED = "earwitness.refused."

_OWN_PREFIXES = (
    DUE,
    DOWNLOADS,
    UNACKED,
    SET_ASIDE,
    IDENTITY,
    HERE,
    LISTENING,
    HOLDERS,
    OLDEST,
    KNOWS,
    NODE,
    MISPLACED,
    REFUSED,
    SENT,
    SPOOL,
    TICKED,
    "earwitness.flower.",
    "earwitness.holders",
    "earwitness.misplaced.",
)
#: Keys of Celery and kombu besides queues, shared by all applications.
_CELERY_PREFIXES = ("_kombu.", "celery-task-meta-", "celery-taskset-meta-", "celeryev", "unacked")


def is_own(queue: str) -> bool:
    """Return whether Earwitness or Celery uses this name, so that no notification may go there."""
    return (
        queue == FRONT_DOOR
        or queue.startswith((*_OWN_PREFIXES, *_CELERY_PREFIXES, "/"))
        or ".celery.pidbox" in queue
        or not queue.isprintable()
    )
