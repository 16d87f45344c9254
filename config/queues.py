"""The queues, and the keys of messages in hand: needed where no configuration is."""

from __future__ import annotations

#: Where other applications send their tasks. The queue ``celery`` is never consumed: on a shared
#: database each side would take and discard the other's messages (design 3.3).
FRONT_DOOR = "earwitness"
#: Filled by sweepers alone: short actions and answers, and transfers.
DUE = "earwitness.due"
DOWNLOADS = "earwitness.downloads"

#: Messages in hand, under keys of our own (config/celery.py says why).
UNACKED = "earwitness.unacked"
UNACKED_INDEX = "earwitness.unacked_index"

#: Stands in Redis so that two deployments on one database notice each other.
IDENTITY = "earwitness.ledger"
#: What producers may read: that a deployment's workers use this database, and, before a queue's
#: name, that one of them listens there now.
HERE = "earwitness.here"
LISTENING = "earwitness.listening."
