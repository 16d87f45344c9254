"""What a worker answers when ``doctor`` asks for its time."""

from __future__ import annotations

import time
from typing import Any

from celery.worker.control import inspect_command

#: The remote control command's name.
ASKED = "earwitness_time"


@inspect_command(name=ASKED)
def tell_time(_state: Any) -> dict[str, float]:
    """The clock of this host, in seconds since 1970."""
    return {"seconds": time.time()}
