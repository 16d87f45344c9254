"""Every queue that a job can have, for statements that find jobs by their due times."""

from __future__ import annotations

from sqlalchemy import ColumnElement, String, literal_column, select

from config.queues import INNER

from .schema import jobs, queues


def in_any_queue() -> ColumnElement[bool]:
    """Return a condition that every job fulfils.

    The index of due times begins with the state and the queue. With this condition, a range of due
    times is found in it, and not by reading every job in the state.
    """
    names = [select(literal_column(f"'{name}'", String())) for name in INNER]
    return jobs.c.queue.in_(select(queues.c.queue).union(*names))
