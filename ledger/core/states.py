"""The states of a job and of a day, as they stand in the ledger and as people see them."""

from __future__ import annotations

PENDING = "pending"
RUNNING = "running"
SENDING = "sending"
WAITING = "waiting"
DONE = "done"
FAILED = "failed"
NEEDS_DECISION = "needs_decision"
CANCELLED = "cancelled"

#: A job in one of these states may be taken up by a worker once it is due.
OPEN = (PENDING, WAITING)
#: A job in one of these states is answered to whoever asks; only needs_decision is left again.
ENDED = (DONE, FAILED, NEEDS_DECISION, CANCELLED)
ALL = (PENDING, RUNNING, SENDING, WAITING, DONE, FAILED, NEEDS_DECISION, CANCELLED)

DAY_DUE = "due"
DAY_RUNNING = "running"
DAY_COMPLETE = "complete"
DAY_INCOMPLETE = "incomplete"
DAY_GAVE_UP = "gave_up"
#: It was complete, and files of it are gone from the archive.
DAY_DAMAGED = "damaged"
