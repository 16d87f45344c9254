"""By which queue a message came: what the message itself says of that is its sender's word.

The tasks take messages for hints by their queue, and a message that is put back goes to the queue
that stands in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def arrived(queue: str, take: Callable[[Any], Any], raw: Any) -> Any:
    """Hand a message as it lay in Redis over to ``take``, with the queue that it lay in."""
    properties = raw.get("properties") if isinstance(raw, dict) else None
    if isinstance(properties, dict):
        said = properties.get("delivery_info")
        kept = said if isinstance(said, dict) else {}
        # The anonymous exchange: no binding that somebody may write is looked up.
        properties["delivery_info"] = {**kept, "exchange": "", "routing_key": queue}
    return take(raw)
