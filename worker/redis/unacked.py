"""Messages in hand: taken from a queue and not acknowledged yet.

kombu 5.7 puts unacknowledged messages back while it closes a lost connection, and acknowledges them
later over the one that is closed. Both fail with an AttributeError, which Celery takes for
unrecoverable: the worker ends, in the middle of a certified call, because Redis was restarted.
(Seen by tests/test_call_redis.py.)

It also notes by this host's clock since when a message is in hand, and another host compares that
with its own: a clock that is half a minute ahead would put back every message of everybody else's,
again and again. So both sides take Redis' clock. (tests/test_redis_prefix.py)

And it puts a message back to the queues that a set in Redis names, which producers write. Here the
queue is noted with the message. (tests/test_message_restore.py)
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections import deque
from typing import Any

from kombu.transport.redis import Mutex, MutexHeld, QoS
from kombu.transport.virtual import QoS as AnyQoS
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR, HOLDERS
from tasks.runtime import metrics
from tasks.runtime.redis_errors import is_away

from .envelope import Envelope, why
from .redelivery import noted, parts, put_back
from .set_aside import MOST_KEPT, SetAside

_log = logging.getLogger(__name__)

#: How long the difference between Redis' clock and the monotonic one of this host is believed.
_CLOCK_SECONDS = 60.0
#: What is put back in one round of a worker.
_MOST_A_ROUND = 500
#: A dead worker's note that it was there is removed after this time.
_HOLDER_SECONDS = 3600
#: This process, as other workers know it.
_HOLDER = uuid.uuid4().hex

#: Puts a message back, unless it was acknowledged or put back meanwhile.
_PUT_BACK = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call(ARGV[4], KEYS[3], ARGV[3])
return 1
"""


def new_tag() -> str:
    """A name for a message in hand, which tells who holds it. Senders may name many alike."""
    return f"{_HOLDER}.{uuid.uuid4().hex}"


class Unacknowledged(QoS):
    """Messages in hand, which are delivered again when they could not be put back."""

    _ahead = 0.0
    _asked_at: float | None = None
    _mutex_held_since: float | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Those over which this process itself stumbled.
        self._blamed: set[str] = set()
        #: What is still to be set aside: item, queue, reason.
        self._left: deque[tuple[bytes, str, str]] = deque(maxlen=MOST_KEPT)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message is in hand, and since when by Redis' clock."""
        since = {delivery_tag: time.monotonic() + self._redis_ahead()}
        try:
            with self.pipe_or_acquire() as pipe:
                pipe.zadd(self.unacked_index_key, since)
                pipe.hset(self.unacked_key, delivery_tag, noted(message)).execute()
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
            self.channel.note_consumption()
        return room

    def blame(self, delivery_tag: str) -> None:
        """Note that this process stumbled over a message: to put it back counts as a death."""
        self._blamed.add(delivery_tag)

    # --- set aside -------------------------------------------------------------------------------

    def set_aside(self, message: Envelope, error: BaseException) -> None:
        """Set a message in hand aside, in one step."""
        tag = message.delivery_tag
        self.move_aside(message.item, message.queue, why(error), tag=tag)
        AnyQoS.ack(self, tag)

    def move_aside(
        self, item: bytes, queue: str, reason: str, *, tag: str = "", held: bytes = b""
    ) -> None:
        """Set aside what was taken; where Redis does not take it now, do so later."""
        metrics.set_aside.labels(queue if queue in metrics.QUEUES else metrics.OTHER).inc()
        _log.error("a message in the queue %s is set aside: %s", queue, reason)
        try:
            self._aside.add(item, queue, reason, tag=tag, held=held)
        except RedisError as error:
            _log.warning("it is set aside as soon as Redis takes it (%s)", error)
            # Without a tag only this process has the message. Where Redis refuses the script
            # midway, the message has already left those in hand.
            if not tag or not is_away(error):
                self._left.append((item, queue, reason))

    def _set_left_aside(self) -> None:
        while self._left:
            self._aside.add(*self._left[0])
            self._left.popleft()

    @property
    def _aside(self) -> SetAside:
        return SetAside(self._redis, self.channel.global_keyprefix)

    @property
    def _redis(self) -> Redis:
        """A client that adds no prefix; kombu's adds it to the first key of a script alone."""
        return Redis(connection_pool=self.channel.pool)

    def _key(self, name: str) -> str:
        return f"{self.channel.global_keyprefix}{name}"

    @property
    def _holders_key(self) -> str:
        return self._key(HOLDERS)

    # --- put back --------------------------------------------------------------------------------

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Put them back if Redis answers; else they come again after the visibility timeout."""
        try:
            super().restore_unacked_once(stderr)
        except (AttributeError, OSError, RedisError) as error:
            _log.info("messages in hand come again after the visibility timeout (%s)", error)

    def restore_visible(self, start: int = 0, num: Any = None, interval: int = 1) -> None:  # noqa: ARG002 - kombu's signature
        """Put back what workers took in hand too long ago, and say that this one is there."""
        if not {FRONT_DOOR, DUE, DOWNLOADS} & set(self.channel.active_queues):
            return  # Flower, say, which reads only answers and may not write here
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        self._set_left_aside()
        now = time.monotonic() + self._redis_ahead()
        self._redis.zadd(self._holders_key, {_HOLDER: now})
        with self.channel.conn_or_acquire() as client:
            try:
                with Mutex(client, self.unacked_mutex_key, self.unacked_mutex_expire):
                    self._mutex_held_since = None
                    self._restore_old(client, now)
            except MutexHeld:
                if self._is_mutex_forgotten():
                    self._restore_old(client, now)

    def _is_mutex_forgotten(self) -> bool:
        """Whether the mutex has been held for longer than a worker of ours holds it. The mutex only
        saves Redis work: a message is put back once, however many workers try.
        """
        now = time.monotonic()
        self._mutex_held_since = self._mutex_held_since or now
        return now - self._mutex_held_since >= self.unacked_mutex_expire

    def _restore_old(self, client: Any, now: float) -> None:
        patience = float(self.channel.visibility_timeout)
        alive = self._living(now, patience / 2)
        old = client.zrange(
            self.unacked_index_key,
            now - patience,
            "-inf",
            desc=True,
            byscore=True,
            offset=0,
            num=_MOST_A_ROUND,
        )
        for tag in old:
            self._restore(tag, client, died=_holder(tag) not in alive)

    def _living(self, now: float, silence: float) -> set[str]:
        """Who was seen lately. A message that waits behind others in a busy worker comes again
        elsewhere, although no worker died over it.
        """
        dead: Any = self._redis.zrangebyscore(self._holders_key, "-inf", now - _HOLDER_SECONDS)
        if dead:
            self._redis.zrem(self._holders_key, *dead)
        seen: Any = self._redis.zrangebyscore(self._holders_key, now - silence, "+inf")
        return {_text(one) for one in seen}

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message of this process back to the queue that it came from."""
        with self.channel.conn_or_acquire(client) as given:
            self._restore(tag, given, died=tag in self._blamed, leftmost=leftmost)
        self._blamed.discard(tag)

    def _restore(self, tag: Any, client: Any, *, died: bool, leftmost: bool = False) -> None:
        held = client.hget(self.unacked_key, tag)
        if held is None:
            client.zrem(self.unacked_index_key, tag)
            return
        try:
            queue, payload = put_back(held, self._queues(), died=died)
            priority = self.channel._get_message_priority(payload)  # noqa: SLF001
            queue = self.channel._q_for_pri(queue, priority)  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - Redis is not asked here, so it is the message
            self.move_aside(*parts(held), why(error), tag=_text(tag), held=held)
            return
        keys = [self._key(name) for name in (self.unacked_key, self.unacked_index_key, queue)]
        push = "LPUSH" if leftmost else "RPUSH"
        self._redis.register_script(_PUT_BACK)(keys, [tag, held, json.dumps(payload), push])

    def _queues(self) -> set[str]:
        return {FRONT_DOOR, DUE, DOWNLOADS, *self.channel.active_queues}

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message, unless the connection that brought it is gone: it comes again, and
        finds its row.
        """
        try:
            super().ack(delivery_tag)
        except AttributeError as error:
            _log.info("a message whose connection is gone comes again (%s)", error)


def _holder(tag: Any) -> str:
    return _text(tag).partition(".")[0]


def _text(tag: Any) -> str:
    return tag.decode(errors="surrogateescape") if isinstance(tag, bytes) else str(tag)
