"""Losing Redis with a message in hand must not end the worker.

kombu 5.7 puts unacknowledged messages back while it closes a lost connection, and acknowledges them
later over the one that is closed. Both fail with an AttributeError, which Celery takes for
unrecoverable: the worker ends, in the middle of a certified call, because Redis was restarted.
(Seen by tests/test_call_redis.py.)
"""

from __future__ import annotations

import logging
import time
from typing import Any

from kombu.transport.redis import Channel, QoS, Transport
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)


class Consumption:
    """When this process last asked for messages, and of which queues."""

    def __init__(self) -> None:
        #: Read by another thread: one value, replaced as a whole.
        self.last: tuple[float, frozenset[str]] = (0.0, frozenset())

    def note(self, queues: set[str]) -> None:
        """It asks just now."""
        self.last = (time.monotonic(), frozenset(queues))


consumption = Consumption()


class Unacknowledged(QoS):
    """Messages in hand, which come again by themselves when they can not be put back."""

    def can_consume(self) -> bool:
        """Whether there is room for a message. A worker without room consumes as it should."""
        room = bool(super().can_consume())
        if not room:
            consumption.note(self.channel.active_queues)
        return room

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Put them back if Redis answers; else they come again after the visibility timeout."""
        try:
            super().restore_unacked_once(stderr)
        except (AttributeError, OSError, RedisError) as error:
            _log.info("messages in hand come again after the visibility timeout (%s)", error)

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message, unless the connection that brought it is gone: it comes again, and
        finds its row.
        """
        try:
            super().ack(delivery_tag)
        except AttributeError as error:
            _log.info("a message whose connection is gone comes again (%s)", error)


class Asking(Channel):
    """A connection's channel that notes whenever it asks for messages.

    It asks anew every second. Nothing else shows that it still does: remote control, and with it
    ping, comes by another channel.
    """

    QoS = Unacknowledged

    def _brpop_start(self, timeout: float | None = None) -> None:
        super()._brpop_start(timeout)
        consumption.note(self.active_queues)


def keep_consuming() -> None:
    """Let every Redis connection of this process use it."""
    Transport.Channel = Asking
