"""How tests wait: for conditions, with generous bounds, and never for a time of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Value = TypeVar("Value")

#: Far more than anything takes on a loaded machine, and far less than the faults of tests last.
LOADED_SECONDS = 25.0

#: How often a condition is looked at.
_PAUSE_SECONDS = 0.05


def eventually(
    look: Callable[[], Value | None],
    *,
    within: float = 60,
    what: str = "the condition was not met",
    pause: float = _PAUSE_SECONDS,
) -> Value:
    """Return what ``look`` returns as soon as that is true.

    Fails after ``within`` seconds with ``what``. Between two looks it sleeps ``pause`` seconds.
    """
    until = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > until:
            raise AssertionError(f"{what} within {within} s; last seen: {seen!r}")
        time.sleep(pause)


@contextmanager
def in_time(seconds: float = LOADED_SECONDS) -> Iterator[None]:
    """Fail where the block takes longer: it waited for a fault that lasts longer still."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"it took {took:.1f} s"
