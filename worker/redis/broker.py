"""The connection to Redis, on which no message can end a worker.

An exception between BRPOP and the start of the task is the message's fault, unless Redis is away or
the process itself is in trouble. The message is set aside, and the worker serves the next one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport.redis import Channel, Transport
from redis.exceptions import DataError, RedisError, ResponseError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR

from .envelope import Envelope, parsed, why
from .unacked import Unacknowledged, new_tag

_log = logging.getLogger(__name__)

_BINDING_PARTS = 3


class NotTakenUp(Exception):
    """The process could not begin the task of a message that it understood."""


class Consumption:
    """When this process last asked for messages, and of which queues."""

    def __init__(self) -> None:
        #: Read by another thread: one value, replaced as a whole.
        self.last: tuple[float, frozenset[str]] = (0.0, frozenset())

    def note(self, queues: set[str]) -> None:
        """Note that the process asks for messages of these queues now."""
        self.last = (time.monotonic(), frozenset(queues))


consumption = Consumption()


def _is_ours(error: Exception) -> bool:
    """Whether Redis or this process failed, not the message. redis-py raises DataError for a value
    that it cannot send, which is the message's.
    """
    if isinstance(error, RedisError):
        return not isinstance(error, DataError)
    return isinstance(error, MemoryError | NotTakenUp | OSError)


class Asking(Channel):
    """A connection's channel that notes whenever it asks for messages, and trusts none.

    It asks anew every second. Nothing else shows that it still does: remote control, and with it
    ping, comes by another channel.
    """

    QoS = Unacknowledged
    Message = Envelope

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Who reads each queue, and whether its messages are acknowledged.
        self._readers: dict[str, tuple[Callable[[Any], Any], bool]] = {}

    def note_consumption(self) -> None:
        """Note that messages are asked for, or that as many are in hand as may be."""
        consumption.note(self.active_queues)

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Any, *args: Any, **options: Any
    ) -> Any:
        """Begin to read a queue."""
        self._readers[queue] = (callback, not no_ack)
        return super().basic_consume(queue, no_ack, callback, *args, **options)

    def _brpop_start(self, timeout: float | None = None) -> None:
        super()._brpop_start(timeout)
        self.note_consumption()

    def _brpop_read(self, **options: Any) -> Any:
        try:
            taken = self._taken(**options)
        finally:
            self._in_poll: Any = None
            self._flush_brpop_reauth()
        if not taken:
            raise Empty
        key, item = taken
        queue = key.decode().rsplit(self.sep, 1)[0]
        if queue in self.active_queues:
            self._queue_cycle.rotate(queue)
            self._receive_item(queue, item)
        else:  # it was cancelled after it had been asked for
            with self.conn_or_acquire() as client:
                client.rpush(key.decode(), item)
        return True

    def _taken(self, **options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            # It is connected anew when it is asked next.
            self.client.connection.disconnect()
            raise

    def _receive_item(self, queue: str, item: bytes) -> None:
        """Hand an item of a queue over to its reader, or set it aside. Raises only what is not the
        message's fault.
        """
        callback, is_acknowledged = self._readers[queue]
        try:
            message = Envelope(parsed(item), channel=self)
        except Exception as error:  # noqa: BLE001 - only the message was looked at
            if is_acknowledged:
                self.qos.move_aside(item, queue, why(error))
            else:
                _log.warning("an answer that cannot be understood was dropped: %s", why(error))
            return
        message.queue, message.item, message.delivery_tag = queue, item, new_tag()
        # The sender's word does not count: tasks/runtime/messages.py tells hints by the queue.
        message.delivery_info = {**message.delivery_info, "exchange": "", "routing_key": queue}
        if is_acknowledged:
            self.qos.append(message, message.delivery_tag)
        try:
            callback(message)
        except Exception as error:
            if _is_ours(error):
                if not isinstance(error, RedisError | OSError):
                    self.qos.blame(message.delivery_tag)
                raise
            if is_acknowledged:
                self.qos.set_aside(message, error)
            else:
                _log.warning("an answer that cannot be understood was dropped: %s", why(error))

    def _receive_one(self, connection: Any) -> Any:
        try:
            return super()._receive_one(connection)
        except Empty:
            raise
        except Exception as error:
            if _is_ours(error):
                raise
            _log.warning("a broadcast that cannot be understood was dropped: %s", why(error))
            return True

    def _handle_message(self, client: Any, response: Any) -> Any:
        payload = super()._handle_message(client, response)
        if isinstance(payload["data"], bytes) and payload["data"]:
            parsed(payload["data"])  # kombu writes what is no JSON into the log
        return payload

    # --- bindings, which producers write ---------------------------------------------------------

    def _lookup(self, exchange: str, routing_key: str, default: Any = None) -> list[str]:
        # Producers may write the bindings; they do not decide where our messages go.
        if exchange == routing_key and exchange in (FRONT_DOOR, DUE, DOWNLOADS):
            return [exchange]
        found: list[str] = super()._lookup(exchange, routing_key, default)
        return found

    def get_table(self, exchange: str) -> list[tuple[str, ...]]:
        """The bindings of an exchange, less the members that are none."""
        with self.conn_or_acquire() as client:
            members = client.smembers(self.keyprefix_queue % exchange)
        parts = [tuple(one.decode(errors="replace").split(self.sep)) for one in members]
        return [binding for binding in parts if len(binding) == _BINDING_PARTS]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error) or queue not in (FRONT_DOOR, DUE, DOWNLOADS):
                raise
            _log.warning("the set of the bindings of %s is no set, and is not needed", exchange)


def keep_consuming() -> None:
    """Let every Redis connection of this process use it."""
    Transport.Channel = Asking
