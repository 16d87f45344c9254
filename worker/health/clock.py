"""A remote control command for ``doctor``: the time of a worker's clock."""

from __future__ import annotations

import time
from typing import Any

from celery.worker.control import inspect_command

#: The remote control command's name.
TIME_COMMAND = "earwitness_time"


@inspect_command(name=TIME_COMMAND)
def clock_time(_state: Any) -> dict[str, float]:
    """Return this host's clock in seconds since 1970."""
    return {"seconds": time.time()}
