"""Messages in hand: losing Redis must not end the worker, and its clock must not give them away.

kombu 5.7 puts unacknowledged messages back while it closes a lost connection, and acknowledges them
later over the one that is closed. Both fail with an AttributeError, which Celery takes for
unrecoverable: the worker ends, in the middle of a certified call, because Redis was restarted.
(Seen by tests/test_call_redis.py.)

It also notes by this host's clock since when a message is in hand, and another host compares that
with its own: a clock that is half a minute ahead would put back every message of everybody else's,
again and again. So both sides take Redis' clock. (tests/test_redis_prefix.py)
"""

from __future__ import annotations

import logging
import time
from functools import partial
from json import JSONDecodeError
from typing import Any

from kombu.transport.redis import Channel, QoS, Transport
from kombu.transport.virtual import Message
from kombu.transport.virtual import QoS as AnyQoS
from kombu.utils.json import dumps
from redis.exceptions import RedisError, ResponseError

from .arrival import arrived

_log = logging.getLogger(__name__)

#: How long the difference between Redis' clock and the monotonic one of this host is believed.
_CLOCK_SECONDS = 60.0


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

    _ahead = 0.0
    _asked_at: float | None = None

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message is in hand, and since when by Redis' clock."""
        info = message.delivery_info
        raw = dumps([message._raw, info["exchange"], info["routing_key"]])  # noqa: SLF001 - as kombu's
        since = {delivery_tag: time.monotonic() + self._redis_ahead()}
        try:
            with self.pipe_or_acquire() as pipe:
                pipe.zadd(self.unacked_index_key, since).hset(self.unacked_key, delivery_tag, raw)
                pipe.execute()
        except ResponseError as error:
            # It has left the queue: a Redis without memory would lose one after the other.
            _log.warning("a message is in hand without a note of it in Redis (%s)", error)
        AnyQoS.append(self, message, delivery_tag)

    @property
    def visibility_timeout(self) -> float:
        """kombu subtracts it from this host's time for what was taken in hand too long ago."""
        ahead = time.monotonic() + self._redis_ahead() - time.time()
        return float(self.channel.visibility_timeout) - ahead

    def _redis_ahead(self) -> float:
        """Redis' time less this host's monotonic one."""
        if self._asked_at is None or time.monotonic() - self._asked_at > _CLOCK_SECONDS:
            with self.channel.conn_or_acquire() as client:
                seconds, microseconds = client.time()
            self._asked_at = time.monotonic()
            self._ahead = seconds + microseconds / 1e6 - self._asked_at
        return self._ahead

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


class NoMessage(ValueError):
    """What lay in Redis is JSON, but nothing that a producer writes."""


class Envelope(Message):
    """A message as producers write it."""

    def __init__(self, payload: Any, channel: Any = None, **more: Any) -> None:
        try:
            super().__init__(payload, channel=channel, **more)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # What Python says of it may repeat what it holds.
            raise NoMessage(f"it has not the form of a message ({type(error).__name__})") from None
        # Without these it can be taken in hand, and neither acknowledged nor put back: no
        # connection would be closed in order any more, nor a new one begun.
        info = self.delivery_info
        known = isinstance(info, dict) and {"exchange", "routing_key"} <= info.keys()
        if not (known and isinstance(self.delivery_tag, str)):
            raise NoMessage("it does not say which message it is, or for which queue")


class Asking(Channel):
    """A connection's channel that notes whenever it asks for messages.

    It asks anew every second. Nothing else shows that it still does: remote control, and with it
    ping, comes by another channel.
    """

    QoS = Unacknowledged
    Message = Envelope

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (JSONDecodeError, NoMessage):
            # Whatever put it there does not speak Celery. It has left the queue with this; the
            # worker would end, and with it what it has in hand.
            _log.exception("what lay in a queue of ours is no message, and was dropped")
            return True

    def _receive_one(self, connection: Any) -> Any:
        try:
            return super()._receive_one(connection)
        except NoMessage:
            _log.exception("what was told to all workers is no message, and was dropped")
            return True

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Consume a queue, and let each message of it say by which queue it came."""
        consumed = super().basic_consume(queue, *args, **kwargs)
        if queue not in self._fanout_queues:
            callbacks = self.connection._callbacks  # noqa: SLF001 - as kombu's own basic_consume
            callbacks[queue] = partial(arrived, queue, callbacks[queue])
        return consumed

    def _brpop_start(self, timeout: float | None = None) -> None:
        super()._brpop_start(timeout)
        consumption.note(self.active_queues)


def keep_consuming() -> None:
    """Let every Redis connection of this process use it."""
    Transport.Channel = Asking
