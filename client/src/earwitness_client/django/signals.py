"""The signal that tells the project what becomes of its jobs."""

from __future__ import annotations

from django.dispatch import Signal

#: Sent once for each new state of a row, in the transaction that stores the state: what a receiver
#: writes to the same database is committed with it, and an exception takes both back. The arguments
#: are ``job`` (the row), ``previous`` (its state before), and ``result`` (the result of a job that
#: is done, otherwise None; it is not kept).
job_changed = Signal()
