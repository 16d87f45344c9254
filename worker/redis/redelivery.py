"""What Redis holds of a message in hand, and what of it goes back to a queue.

The form is kombu's, so that workers of an earlier version can put it back, too: the message, the
exchange, the routing key. The exchange is empty and the routing key is the queue, which kombu takes
for the queue itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from tasks.runtime import metrics

from .envelope import Envelope, NoMessage
from .set_aside import DEATHS

#: A message over which workers died, or threads of theirs failed, so often is not given to another.
MOST_DEATHS = 5


def noted(message: Envelope) -> bytes:
    """What Redis holds of a message while it is in hand."""
    return b"[" + message.item + b', "", ' + json.dumps(message.queue).encode() + b"]"


def put_back(held: bytes, queues: Collection[str], *, died: bool) -> tuple[str, dict[str, Any]]:
    """Return the queue of what was held, one of ``queues``, and the message as it goes back there;
    ``died``: its holder died.

    Raises NoMessage, and whatever Python raises where it is no message.
    """
    payload, _, queue = json.loads(held)
    if queue not in queues:
        raise NoMessage("the queue that is noted with it is none of ours")
    properties = payload["properties"]
    deaths = _count(properties.get(DEATHS)) + died
    if deaths >= MOST_DEATHS:
        raise NoMessage(f"a worker ended or failed {deaths} times while it had the message in hand")
    info = {**properties["delivery_info"], "redelivered": True}
    payload["properties"] = {**properties, "delivery_info": info}
    if deaths:
        payload["properties"][DEATHS] = deaths
    return queue, payload


def parts(held: bytes) -> tuple[bytes, str]:
    """Return the message of what was held and its queue, or all of it where it cannot be read."""
    try:
        payload, _, queue = json.loads(held)
        return json.dumps(payload).encode(), queue if queue in metrics.QUEUES else metrics.OTHER
    except Exception:  # noqa: BLE001 - all of it is kept for people to look at
        return held, metrics.OTHER


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= MOST_DEATHS else 0
