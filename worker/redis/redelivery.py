"""The record of a message in hand, and the message that goes back from it to a queue.

The format is kombu's, so that workers of earlier releases can restore messages, too: the message,
the exchange, the routing key. The exchange is empty and the routing key is the queue, which kombu
interprets as that queue.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from tasks.runtime import metrics

from .envelope import Envelope, NoMessage
from .set_aside import DEATHS

#: After so many dead workers or failed threads, a message is set aside.
MAX_DEATHS = 5


def unacked_record(message: Envelope) -> bytes:
    """Return what Redis stores of a message while it is in hand."""
    return b"[" + message.item + b', "", ' + json.dumps(message.queue).encode() + b"]"


def requeued(record: bytes, queues: Collection[str], *, died: bool) -> tuple[str, dict[str, Any]]:
    """Return the queue of a record, which must be one of ``queues``, and the message to put there.

    ``died`` says that the message's holder died. Raises NoMessage, and Python's errors for a record
    that is no message.
    """
    payload, _, queue = json.loads(record)
    if queue not in queues:
        raise NoMessage("the queue in its record is not one of Earwitness")
    properties = payload["properties"]
    deaths = _count(properties.get(DEATHS)) + died
    if deaths >= MAX_DEATHS:
        raise NoMessage(f"a worker ended or failed {deaths} times while it had the message in hand")
    info = {**properties["delivery_info"], "redelivered": True}
    payload["properties"] = {**properties, "delivery_info": info}
    if deaths:
        payload["properties"][DEATHS] = deaths
    return queue, payload


def split_record(record: bytes) -> tuple[bytes, str]:
    """Return the message and the queue of a record, the whole record if it cannot be read."""
    try:
        payload, _, queue = json.loads(record)
        return json.dumps(payload).encode(), queue if queue in metrics.QUEUES else metrics.OTHER
    except Exception:  # noqa: BLE001 - the whole record is kept for people to look at
        return record, metrics.OTHER


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= MAX_DEATHS else 0
