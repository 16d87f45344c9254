"""Messages in hand: taken from a queue and not acknowledged yet.

Acknowledgements are written to Redis together, a moment later (`flusher.py`). If the process is
killed before, the messages are delivered again, and find their jobs in the ledger.

This also replaces three behaviours of kombu 5.7:

* While kombu closes a lost connection, it puts unacknowledged messages back, and it acknowledges
  them later over the closed connection. Both fail with an AttributeError, which Celery treats as
  unrecoverable: a restart of Redis would end the worker in the middle of a certified call
  (tests/test_call_redis.py).
* kombu records by its host's clock since when a message is in hand, and another host compares that
  with its own clock. A clock half a minute ahead would put back all other hosts' messages, again
  and again. Here both use Redis' clock (tests/test_redis_prefix.py).
* kombu puts a message back to the queues that a set in Redis names, and producers may write that
  set. Here the message's record names its queue (tests/test_message_restore.py).
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from functools import cached_property
from typing import Any

from kombu.transport.redis import Mutex, MutexHeld, QoS
from kombu.transport.virtual import QoS as AnyQoS
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError, ResponseError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR, HOLDERS
from tasks.errors import JobError
from tasks.runtime import metrics
from tasks.runtime.flusher import flusher
from tasks.runtime.redis_errors import is_away

from . import scripts, tags
from .envelope import Envelope, describe
from .redelivery import requeued, split_record, unacked_record
from .refused_messages import failure, refusal, refused_messages
from .set_aside import MAX_MESSAGES, SetAside

_log = logging.getLogger(__name__)

#: How long a measured difference between Redis' clock and this host's monotonic one is used.
_CLOCK_SECONDS = 60.0
#: How many messages a worker puts back in one round.
_MAX_A_ROUND = 500
#: How many messages a worker takes together after it was given one. More would keep those of other
#: queues waiting.
_MOST_MORE = 8
#: A dead worker's entry among the holders is removed after this time.
_HOLDER_SECONDS = 3600


class Unacknowledged(QoS):
    """Messages in hand, which are delivered again if they could not be put back."""

    _ahead = 0.0
    _clock_read_at: float | None = None
    _mutex_held_since: float | None = None
    _prune_at = 0.0
    _bare: Redis | None = None
    #: Whether Redis does not let this user take several messages together.
    _takes_singly = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: The tags of messages whose tasks this process failed to run.
        self._failed: set[str] = set()
        #: Messages still to be set aside: item, queue, reason.
        self._postponed: deque[tuple[bytes, str, str]] = deque(maxlen=MAX_MESSAGES)
        #: The tags of acknowledged messages that Redis still has among those in hand.
        self._acknowledged: deque[Any] = deque()

    def append(self, message: Any, delivery_tag: str) -> None:
        """Record that a message is in hand, and since when by Redis' clock."""
        since = time.monotonic() + self._redis_ahead()
        try:
            record = unacked_record(message)
            self._take(self._keys_in_hand, [delivery_tag, since, record], client=self._redis)
        except ResponseError as error:
            # The message has left its queue already. Raised, the error would drop one message after
            # the other while Redis has no memory.
            _log.warning("a message is in hand without a record in Redis (%s)", error)
        AnyQoS.append(self, message, delivery_tag)

    def take_more(self, queue: str, key: str) -> list[tuple[bytes, str]]:
        """Take more messages of a queue, for which there is room, from the list under ``key``;
        return each with its tag. Redis has recorded them as in hand.
        """
        room = super().can_consume_max_estimate()
        count = _MOST_MORE if room is None else min(room, _MOST_MORE)
        if self._takes_singly or count < 1:
            return []
        since = time.monotonic() + self._redis_ahead()
        new = [tags.new() for _ in range(count)]
        keys = [*self._keys_in_hand, self._key(key)]
        try:
            taken: Any = self._take_more(keys, [since, json.dumps(queue), *new], client=self._redis)
        except ResponseError as error:
            self._takes_singly = True
            _log.info("messages are taken one by one, since Redis refuses to give more (%s)", error)
            return []
        return list(zip(taken, new, strict=False))

    def hold(self, message: Any, delivery_tag: str) -> None:
        """Note that a message is in hand which Redis has recorded as such."""
        AnyQoS.append(self, message, delivery_tag)

    @property
    def visibility_timeout(self) -> float:
        """The timeout in seconds, adjusted so that kombu's clock arithmetic gives Redis' time.

        kombu subtracts the timeout from this host's time to find messages in hand for too long.
        """
        ahead = time.monotonic() + self._redis_ahead() - time.time()
        return float(self.channel.visibility_timeout) - ahead

    def _redis_ahead(self) -> float:
        """Return Redis' time minus this host's monotonic time, in seconds."""
        if self._clock_read_at is None or time.monotonic() - self._clock_read_at > _CLOCK_SECONDS:
            with self.channel.conn_or_acquire() as client:
                seconds, microseconds = client.time()
            self._clock_read_at = time.monotonic()
            self._ahead = seconds + microseconds / 1e6 - self._clock_read_at
        return self._ahead

    def can_consume(self) -> bool:
        """Return whether there is room for a message; a worker without room counts as consuming."""
        room = bool(super().can_consume())
        if not room:
            self.channel.note_consumption()
        return room

    def blame(self, delivery_tag: str) -> None:
        """Record that this process failed on a message: putting it back counts as a death."""
        self._failed.add(delivery_tag)

    # --- set aside -------------------------------------------------------------------------------

    def set_aside(self, message: Envelope, error: BaseException) -> None:
        """Set a message in hand aside, in one step."""
        tag = message.delivery_tag
        self.move_aside(message.item, message.queue, describe(error), tag=tag)
        AnyQoS.ack(self, tag)

    def move_aside(
        self,
        item: bytes,
        queue: str,
        reason: str,
        *,
        tag: str = "",
        record: bytes = b"",
        answer: JobError | None = None,
    ) -> None:
        """Set aside an item that was taken from a queue; if Redis refuses that, retry later.

        Its sender is answered with ``answer``, by default that the message was refused.
        """
        metrics.set_aside.labels(queue if queue in metrics.QUEUES else metrics.OTHER).inc()
        _log.error("a message in the queue %s is set aside: %s", queue, reason)
        refused_messages.add(item, queue, answer or refusal(reason))
        try:
            self._aside.add(item, queue, reason, tag=tag, held=record)
        except RedisError as error:
            _log.warning("the message will be set aside once Redis accepts it (%s)", error)
            # Without a tag, only this process has the message. If Redis refuses the script midway,
            # the message has already left those in hand.
            if not tag or not is_away(error):
                self._postponed.append((item, queue, reason))

    def _set_postponed_aside(self) -> None:
        while self._postponed:
            self._aside.add(*self._postponed[0])
            self._postponed.popleft()

    @property
    def _aside(self) -> SetAside:
        return SetAside(self._redis, self.channel.global_keyprefix)

    @property
    def _redis(self) -> Redis:
        """A client that adds no prefix, since kombu's adds it only to a script's first key."""
        # A channel that was disconnected has a new pool.
        if self._bare is None or self._bare.connection_pool is not self.channel.pool:
            self._bare = Redis(connection_pool=self.channel.pool)
        return self._bare

    @cached_property
    def _take(self) -> Script:
        return self._redis.register_script(scripts.TAKE)

    @cached_property
    def _take_more(self) -> Script:
        return self._redis.register_script(scripts.TAKE_MORE)

    @cached_property
    def _put_back(self) -> Script:
        return self._redis.register_script(scripts.PUT_BACK)

    @cached_property
    def _keys_in_hand(self) -> list[str]:
        return [self._key(self.unacked_key), self._key(self.unacked_index_key)]

    def _key(self, name: str) -> str:
        return f"{self.channel.global_keyprefix}{name}"

    @property
    def _holders_key(self) -> str:
        return self._key(HOLDERS)

    # --- put back --------------------------------------------------------------------------------

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Put the messages back; if Redis is away, the visibility timeout redelivers them."""
        try:
            self.flush()
            super().restore_unacked_once(stderr)
        except (AttributeError, OSError, RedisError) as error:
            _log.info("messages in hand are redelivered after the visibility timeout (%s)", error)

    def restore_visible(self, start: int = 0, num: Any = None, interval: int = 1) -> None:  # noqa: ARG002 - kombu's signature
        """Put back messages that were in hand for too long.

        While any message is in hand, also renew this process' entry among the holders.
        """
        if not {FRONT_DOOR, DUE, DOWNLOADS} & set(self.channel.active_queues):
            return  # Flower and others only read answers, and may not write here
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        self._set_postponed_aside()
        oldest: Any = self._redis.zrange(self._key(self.unacked_index_key), 0, 0, withscores=True)
        if not oldest:
            return
        now = time.monotonic() + self._redis_ahead()
        self._renew_entry(now)
        if oldest[0][1] > now - self.channel.visibility_timeout:
            return
        with self.channel.conn_or_acquire() as client:
            try:
                with Mutex(client, self.unacked_mutex_key, self.unacked_mutex_expire):
                    self._mutex_held_since = None
                    self._restore_old(client, now)
            except MutexHeld:
                if self._is_mutex_abandoned():
                    self._restore_old(client, now)

    def _renew_entry(self, now: float) -> None:
        """Note that this process lives, and once an hour remove the entries of dead ones."""
        self._redis.zadd(self._holders_key, {tags.HOLDER: now})
        if time.monotonic() < self._prune_at:
            return
        dead: Any = self._redis.zrangebyscore(self._holders_key, "-inf", now - _HOLDER_SECONDS)
        if dead:
            self._redis.zrem(self._holders_key, *dead)
        self._prune_at = time.monotonic() + _HOLDER_SECONDS

    def _is_mutex_abandoned(self) -> bool:
        """Return whether the mutex has been held for longer than any of our workers holds it.

        The mutex only saves Redis work: a message is put back once, however many workers try.
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
            num=_MAX_A_ROUND,
        )
        for tag in old:
            self._restore(tag, client, died=tags.holder(tag) not in alive)

    def _living(self, now: float, silence: float) -> set[str]:
        """Return the holders seen within ``silence`` seconds.

        A message that waits behind others in a busy worker is redelivered, although no worker died.
        """
        seen: Any = self._redis.zrangebyscore(self._holders_key, now - silence, "+inf")
        return {tags.text(one) for one in seen}

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message of this process back to the queue that it came from."""
        with self.channel.conn_or_acquire(client) as given:
            self._restore(tag, given, died=tag in self._failed, leftmost=leftmost)
        self._failed.discard(tag)

    def _restore(self, tag: Any, client: Any, *, died: bool, leftmost: bool = False) -> None:
        record = client.hget(self.unacked_key, tag)
        if record is None:
            client.zrem(self.unacked_index_key, tag)
            return
        try:
            queue, payload = requeued(record, self._queues(), died=died)
            priority = self.channel._get_message_priority(payload)  # noqa: SLF001
            queue = self.channel._q_for_pri(queue, priority)  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - no Redis command here: the message is at fault
            why, held = describe(error), {"tag": tags.text(tag), "record": record}
            self.move_aside(*split_record(record), why, answer=failure(why), **held)
            return
        push = "LPUSH" if leftmost else "RPUSH"
        keys = [*self._keys_in_hand, self._key(queue)]
        self._put_back(keys, [tag, record, json.dumps(payload), push], client=self._redis)

    def _queues(self) -> set[str]:
        return {FRONT_DOOR, DUE, DOWNLOADS, *self.channel.active_queues}

    # --- acknowledged ----------------------------------------------------------------------------

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message: there is room for another at once, and Redis forgets it soon."""
        AnyQoS.ack(self, delivery_tag)
        self._acknowledged.append(delivery_tag)
        flusher.ask("acknowledgements", self.flush)

    def flush(self) -> None:
        """Have Redis forget the acknowledged messages.

        If the channel is closed, they are delivered again, and find their jobs in the ledger.
        Raises RedisError and OSError; call again then.
        """
        known = [self._acknowledged.popleft() for _ in range(len(self._acknowledged))]
        if not known:
            return
        try:
            with self.channel.conn_or_acquire() as client, client.pipeline() as pipe:
                pipe.zrem(self.unacked_index_key, *known)
                pipe.hdel(self.unacked_key, *known)
                pipe.execute()
        except AttributeError as error:
            _log.info("messages of a lost connection will be redelivered (%s)", error)
        except Exception:
            self._acknowledged.extend(known)
            raise
