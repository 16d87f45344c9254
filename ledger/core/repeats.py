"""Repeats of what a database that is away did not do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import stamina

from .writer import AWAY

Result = TypeVar("Result")

#: Seconds between attempts: short, because other holders' locks and leases are short.
_FIRST_WAIT_SECONDS = 0.02
_LATER_WAITS = {"wait_initial": 2 * _FIRST_WAIT_SECONDS, "wait_max": 0.25, "wait_jitter": 0.05}


def while_away(once: Callable[[], Result], *, seconds: float) -> Result:
    """Call ``once``, and again while the database is away, for at most ``seconds``.

    Raises the database's last error.
    """
    deadline = time.monotonic() + seconds
    try:
        return once()
    except AWAY:
        # The repeats are prepared only now: that costs as much as a short transaction.
        left = deadline - time.monotonic() - _FIRST_WAIT_SECONDS
        if left <= 0:
            raise
    time.sleep(_FIRST_WAIT_SECONDS)
    for attempt in stamina.retry_context(on=AWAY, attempts=None, timeout=left, **_LATER_WAITS):
        with attempt:
            return once()
    raise AssertionError("stamina ends a loop by returning or raising")
