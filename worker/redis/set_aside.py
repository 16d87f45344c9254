"""Invalid messages, set aside in Redis for a week.

They are stored under our prefix, with limits of number and size, so that no flood of them fills
Redis. A person lists them, removes them or puts them back (`earwitness messages`).
"""

from __future__ import annotations

import base64
import json
import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from config.queues import (
    DOWNLOADS,
    DUE,
    FRONT_DOOR,
    SET_ASIDE,
    SET_ASIDE_INDEX,
    UNACKED,
    UNACKED_INDEX,
)
from ledger.alerts import EVERY_ACCOUNT, MESSAGE, Alert
from tasks.runtime.context import ledger

_log = logging.getLogger(__name__)

KEPT_SECONDS = 7 * 86_400
MAX_MESSAGES = 200
#: Only so much of a longer message is kept.
MAX_BYTES = 32 * 1024
#: The property of a message that counts the workers that died while they had the message in hand.
DEATHS = "earwitness_deaths"

CAUSE = f"{MESSAGE}:set_aside"
COMMAND = "earwitness messages"

#: Moves a message from those in hand, if it is still there, to those set aside. The script removes
#: before it adds, because a Redis without memory lets a script continue that has written already.
_SET_ASIDE = """
if ARGV[4] ~= '' then
  local held = redis.call('HGET', KEYS[3], ARGV[4])
  if ARGV[5] ~= '' and held ~= ARGV[5] then return 0 end
  redis.call('HDEL', KEYS[3], ARGV[4])
  redis.call('ZREM', KEYS[4], ARGV[4])
end
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local function forget(ids)
  for _, id in ipairs(ids) do
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
  end
end
forget(redis.call('ZRANGE', KEYS[1], 0, -tonumber(ARGV[3]) - 1))
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
return 1
"""
_REMOVE_OLD = """
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
"""
_REMOVE = """
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] ~= '' then redis.call('LPUSH', KEYS[3], ARGV[2]) end
return 1
"""


@dataclass(frozen=True)
class SetAsideMessage:
    """A message that was set aside.

    ``length`` is the whole message's in bytes; ``content`` may be only its beginning.
    """

    id: str
    at: datetime
    queue: str
    reason: str
    length: int
    content: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the whole message was kept."""
        return len(self.content) == self.length

    @property
    def has_known_queue(self) -> bool:
        """Whether the message came from one of our queues."""
        return self.queue in (FRONT_DOOR, DUE, DOWNLOADS)


class SetAside:
    """The messages of a deployment that were set aside.

    ``client`` must add no prefix; ``prefix`` is the deployment's. All methods raise RedisError.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._keys = [self._key(name) for name in (SET_ASIDE_INDEX, SET_ASIDE)]

    def add(
        self, item: bytes, queue: str, reason: str, *, tag: str = "", held: bytes = b""
    ) -> bool:
        """Set a message aside and, in the same step, remove ``tag`` from the messages in hand.

        ``held`` is the record that must still be there; an empty one matches any. Return whether
        the message was set aside.
        """
        record = json.dumps(
            {
                "queue": queue,
                "reason": reason,
                "length": len(item),
                "content": base64.b64encode(item[:MAX_BYTES]).decode(),
            }
        )
        in_hand = [self._key(name) for name in (UNACKED, UNACKED_INDEX)]
        moved = self._client.register_script(_SET_ASIDE)(
            [*self._keys, *in_hand],
            [uuid.uuid4().hex, record, MAX_MESSAGES, tag, held, KEPT_SECONDS],
        )
        return bool(moved)

    def remove_old(self) -> None:
        """Remove messages that were set aside more than a week ago."""
        now = self._client.time()[0]
        self._client.register_script(_REMOVE_OLD)(self._keys, [now - KEPT_SECONDS])

    def messages(self) -> list[SetAsideMessage]:
        """Return all messages, the oldest first."""
        found: Any = self._client.zrange(self._keys[0], 0, -1, withscores=True)
        return [one for member, score in found if (one := self._message(member, score))]

    def newest(self) -> str | None:
        """Return the id of the message set aside last, or None."""
        found: Any = self._client.zrange(self._keys[0], -1, -1)
        return _text(found[0]) if found else None

    def remove(self, message_id: str) -> bool:
        """Remove a message for good; return whether it was there."""
        return self._remove(self._keys, message_id, b"")

    def put_back(self, message: SetAsideMessage) -> bool:
        """Put a whole message back into its queue, as new; return whether it was there."""
        keys = [*self._keys, self._key(message.queue)]
        return self._remove(keys, message.id, _as_new(message.content))

    def _remove(self, keys: list[str], message_id: str, item: bytes) -> bool:
        return bool(self._client.register_script(_REMOVE)(keys, [message_id, item]))

    def _message(self, member: Any, score: float) -> SetAsideMessage | None:
        record = self._client.hget(self._keys[1], member)
        if record is None:
            return None
        at = datetime.fromtimestamp(score, UTC)
        try:
            fields = json.loads(record)
            content = base64.b64decode(fields["content"])
            return SetAsideMessage(
                _text(member), at, fields["queue"], fields["reason"], fields["length"], content
            )
        except (LookupError, TypeError, ValueError):
            return SetAsideMessage(
                _text(member), at, "?", "its record cannot be read", len(record), b""
            )

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"


def update_alert(client: Redis, prefix: str) -> None:
    """Open the alert if a message was set aside since the last alert; close it if none is left.

    Raises RedisError and LedgerAway.
    """
    aside = SetAside(client, prefix)
    newest = aside.newest()
    if newest is None:
        ledger().alerts.close(CAUSE)
        return
    aside.remove_old()
    alerted_key = f"{prefix}{SET_ASIDE}_told"
    alerted = client.get(alerted_key)
    if alerted is not None and _text(alerted) == newest:
        return
    messages = aside.messages()
    if messages:
        ledger().alerts.open(Alert(CAUSE, MESSAGE, EVERY_ACCOUNT, summary(messages)))
        client.set(alerted_key, newest, ex=KEPT_SECONDS)


def summary(messages: list[SetAsideMessage]) -> str:
    """Return the text of the alert for these messages."""
    last = messages[-1]
    return (
        f"messages that cannot be understood: {len(messages)}; they are set aside, nothing was "
        f"done about them; the last came from the queue {last.queue}: {last.reason}; see: {COMMAND}"
    )


def _as_new(item: bytes) -> bytes:
    """Return the message without its count of dead workers."""
    try:
        payload = json.loads(item)
        del payload["properties"][DEATHS]
    except (LookupError, RecursionError, TypeError, ValueError):
        return item
    return json.dumps(payload).encode()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
