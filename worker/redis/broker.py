"""The worker's Redis channel: no message can end the worker.

An exception between BRPOP and the start of the task is the message's fault, unless Redis is away or
the process itself has failed. The channel sets the message aside, and the worker serves the next
one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from kombu.transport.redis import Channel, Transport
from redis import Redis
from redis.exceptions import DataError, RedisError, ResponseError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR

from . import tags
from .envelope import Envelope, describe, parsed
from .publish_once import mark_of, put_once
from .unacked import Unacknowledged

_log = logging.getLogger(__name__)

_BINDING_PARTS = 3
#: A channel without messages for so long asks less often: one question then lasts longer. That must
#: be far below the silence after which a heartbeat counts as late (worker/health/heartbeat.py).
_QUIET_AFTER_SECONDS = 10.0
_QUIET_QUESTION_SECONDS = 3


class TaskNotStarted(Exception):
    """The process could not start the task of a valid message."""


class Consumption:
    """When this process last asked for messages (monotonic seconds), and of which queues."""

    def __init__(self) -> None:
        #: One value, replaced as a whole, because another thread reads it.
        self.last: tuple[float, frozenset[str]] = (0.0, frozenset())

    def note(self, queues: set[str]) -> None:
        """Record that the process asks for messages of these queues now."""
        self.last = (time.monotonic(), frozenset(queues))


consumption = Consumption()


def _is_own_failure(error: Exception) -> bool:
    """Return whether Redis or this process failed, and not the message.

    redis-py raises DataError for a value that it cannot send, which is the message's fault.
    """
    if isinstance(error, RedisError):
        return not isinstance(error, DataError)
    return isinstance(error, MemoryError | TaskNotStarted | OSError)


class CheckedChannel(Channel):
    """A channel that validates every message and records when it asked for messages.

    The channel asks every second, and every three while no messages come. Nothing else shows that a
    worker still consumes: remote control, with ``ping``, uses another channel.
    """

    QoS = Unacknowledged
    Message = Envelope

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: The reader of each queue, and whether the queue's messages are acknowledged.
        self._readers: dict[str, tuple[Callable[[Any], Any], bool]] = {}
        self._shared: Any = None
        #: When the channel last took a message or began, in monotonic seconds.
        self._taken_at = time.monotonic()

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Yield ``client``, or else one client for all commands: kombu builds one for each."""
        yield client or self._shared_client()

    def _shared_client(self) -> Any:
        # The client has no connection of its own; a channel that was disconnected has a new pool.
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = self._create_client()
        return self._shared

    def note_consumption(self) -> None:
        """Record that the channel asks for messages, or has as many in hand as it may have."""
        consumption.note(self.active_queues)

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Any, *args: Any, **options: Any
    ) -> Any:
        """Start reading a queue."""
        self._readers[queue] = (callback, not no_ack)
        return super().basic_consume(queue, no_ack, callback, *args, **options)

    def _brpop_start(self, timeout: float | None = None) -> None:
        if timeout is None and time.monotonic() - self._taken_at > _QUIET_AFTER_SECONDS:
            timeout = _QUIET_QUESTION_SECONDS
        super()._brpop_start(timeout)
        self.note_consumption()

    def _brpop_read(self, **options: Any) -> Any:
        try:
            taken = self._read_item(**options)
        finally:
            self._in_poll: Any = None
            self._flush_brpop_reauth()
        if not taken:
            raise Empty
        self._taken_at = time.monotonic()
        key, item = taken
        queue = key.decode().rsplit(self.sep, 1)[0]
        if queue not in self.active_queues:  # it was cancelled while BRPOP waited for it
            with self.conn_or_acquire() as client:
                client.rpush(key.decode(), item)
            return True
        self._queue_cycle.rotate(queue)
        self._receive_item(queue, item)
        self._receive_more(queue, key.decode())
        return True

    def _read_item(self, **options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            # The next BRPOP connects again.
            self.client.connection.disconnect()
            raise

    def _receive_item(self, queue: str, item: bytes) -> None:
        """Pass a queue's item to the queue's reader, or set the item aside.

        Raises only errors that are not the message's fault.
        """
        message = self._understood(queue, item, tags.new())
        if message is None:
            return
        if self._is_acknowledged(queue):
            self.qos.append(message, message.delivery_tag)
        self._deliver(message)

    def _receive_more(self, queue: str, key: str) -> None:
        """Pass on what else waits in a queue and has room in this worker, in one round trip.

        Redis has recorded these messages as in hand. An error leaves the others to be put back.
        """
        if not self._is_acknowledged(queue):
            return
        messages = []
        for item, tag in self.qos.take_more(queue, key):
            message = self._understood(queue, item, tag, is_held=True)
            if message is not None:
                self.qos.hold(message, tag)
                messages.append(message)
        for message in messages:
            self._deliver(message)

    def _understood(
        self, queue: str, item: bytes, tag: str, *, is_held: bool = False
    ) -> Envelope | None:
        """Return the message of an item; None if it is not one, which is then set aside."""
        try:
            message = Envelope(parsed(item), channel=self)
        except Exception as error:  # noqa: BLE001 - only the message can have caused it
            if self._is_acknowledged(queue):
                self.qos.move_aside(item, queue, describe(error), tag=tag if is_held else "")
            else:
                _log.warning("an answer that cannot be understood was dropped: %s", describe(error))
            return None
        message.queue, message.item, message.delivery_tag = queue, item, tag
        # Ignore the sender's values: tasks/runtime/messages.py recognises hints by their queue.
        message.delivery_info = {**message.delivery_info, "exchange": "", "routing_key": queue}
        return message

    def _is_acknowledged(self, queue: str) -> bool:
        return self._readers[queue][1]

    def _deliver(self, message: Envelope) -> None:
        """Pass a message to the reader of its queue, or set it aside."""
        callback, is_acknowledged = self._readers[message.queue]
        try:
            callback(message)
        except Exception as error:
            if _is_own_failure(error):
                if not isinstance(error, RedisError | OSError):
                    self.qos.blame(message.delivery_tag)
                raise
            if is_acknowledged:
                self.qos.set_aside(message, error)
            else:
                _log.warning("an answer that cannot be understood was dropped: %s", describe(error))

    def _receive_one(self, connection: Any) -> Any:
        try:
            return super()._receive_one(connection)
        except Empty:
            raise
        except Exception as error:
            if _is_own_failure(error):
                raise
            _log.warning("a broadcast that cannot be understood was dropped: %s", describe(error))
            return True

    def _handle_message(self, client: Any, response: Any) -> Any:
        payload = super()._handle_message(client, response)
        if isinstance(payload["data"], bytes) and payload["data"]:
            parsed(payload["data"])  # raises here, because kombu logs the text of invalid JSON
        return payload

    # --- what follows from a task ----------------------------------------------------------------

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        mark = mark_of(message)
        if mark is None:
            super()._put(queue, message, **options)
            return
        key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
        # A client that adds no prefix, since kombu's adds it only to a script's first key.
        client = Redis(connection_pool=self.pool)
        put_once(client, self.global_keyprefix + key, message, self.global_keyprefix + mark)

    # --- bindings, which producers may write -----------------------------------------------------

    def _lookup(self, exchange: str, routing_key: str, default: Any = None) -> list[str]:
        # Producers may write the bindings, so these must not route our own messages.
        if exchange == routing_key and exchange in (FRONT_DOOR, DUE, DOWNLOADS):
            return [exchange]
        found: list[str] = super()._lookup(exchange, routing_key, default)
        return found

    def get_table(self, exchange: str) -> list[tuple[str, ...]]:
        """Return the bindings of an exchange; skip members that are not bindings."""
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
            _log.warning("the key of the bindings of %s holds no set; it is not needed", exchange)


def install_channel() -> None:
    """Make every Redis connection of this process use ``CheckedChannel``."""
    Transport.Channel = CheckedChannel
