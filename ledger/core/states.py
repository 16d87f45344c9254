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

#: A worker may claim a job in one of these states once the job is due.
OPEN = (PENDING, WAITING)
#: A caller is answered with a job in one of these states. Only needs_decision can be left again.
ENDED = (DONE, FAILED, NEEDS_DECISION, CANCELLED)
ALL = (PENDING, RUNNING, SENDING, WAITING, DONE, FAILED, NEEDS_DECISION, CANCELLED)

DAY_DUE = "due"
DAY_RUNNING = "running"
DAY_COMPLETE = "complete"
DAY_INCOMPLETE = "incomplete"
DAY_GAVE_UP = "gave_up"
#: The day was complete, and files of it are missing from the archive.
DAY_DAMAGED = "damaged"
