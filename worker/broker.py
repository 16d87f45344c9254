"""Losing Redis with a message in hand must not end the worker.

kombu 5.7 puts unacknowledged messages back while it closes a lost connection, and acknowledges them
later over the one that is closed. Both fail with an AttributeError, which Celery takes for
unrecoverable: the worker ends, in the middle of a certified call, because Redis was restarted.
(Seen by tests/test_call_redis.py.)
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport.redis import Channel, QoS
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)


class Unacknowledged(QoS):
    """Messages in hand, which come again by themselves when they can not be put back."""

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


def keep_consuming() -> None:
    """Let every Redis connection of this process use it."""
    Channel.QoS = Unacknowledged
