"""Messages that cannot be understood, set aside in Redis for a week.

They lie under our prefix, bounded in number and in bytes, so that no flood of them fills Redis.
A person looks at them, removes them or puts them back (`python -m worker messages`).
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
MOST_KEPT = 200
#: Of a longer message only the beginning is kept.
MOST_BYTES = 32 * 1024
#: How often a message was in the hands of a worker that died; a property of the message.
DEATHS = "earwitness_deaths"

CAUSE = f"{MESSAGE}:set_aside"
COMMAND = "python -m worker messages"

#: Takes a message from those in hand, if it is still there, and keeps it. What it removes comes
#: first: a Redis without memory lets a script go on that has written already.
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
_FORGET = """
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
"""
_TAKE_BACK = """
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] ~= '' then redis.call('LPUSH', KEYS[3], ARGV[2]) end
return 1
"""


@dataclass(frozen=True)
class Kept:
    """A message that was set aside: why and when, from which queue, and how long it is in bytes;
    ``content`` is its beginning at least.
    """

    id: str
    at: datetime
    queue: str
    reason: str
    length: int
    content: bytes

    @property
    def is_whole(self) -> bool:
        """Whether all of it was kept."""
        return len(self.content) == self.length

    @property
    def goes_somewhere(self) -> bool:
        """Whether its queue is one of ours."""
        return self.queue in (FRONT_DOOR, DUE, DOWNLOADS)


class SetAside:
    """The messages of a deployment that were set aside.

    Parameters: ``client`` of redis-py, which adds no prefix, and the deployment's ``prefix``. All
    methods raise RedisError.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._keys = [self._key(name) for name in (SET_ASIDE_INDEX, SET_ASIDE)]

    def add(
        self, item: bytes, queue: str, reason: str, *, tag: str = "", held: bytes = b""
    ) -> bool:
        """Keep a message and take it, under ``tag``, from those in hand, in one step; whether it
        was still as ``held`` says (anything where that is empty).
        """
        record = json.dumps(
            {
                "queue": queue,
                "reason": reason,
                "length": len(item),
                "content": base64.b64encode(item[:MOST_BYTES]).decode(),
            }
        )
        in_hand = [self._key(name) for name in (UNACKED, UNACKED_INDEX)]
        moved = self._client.register_script(_SET_ASIDE)(
            [*self._keys, *in_hand], [uuid.uuid4().hex, record, MOST_KEPT, tag, held, KEPT_SECONDS]
        )
        return bool(moved)

    def forget_old(self) -> None:
        """Remove what was set aside more than a week ago."""
        now = self._client.time()[0]
        self._client.register_script(_FORGET)(self._keys, [now - KEPT_SECONDS])

    def kept(self) -> list[Kept]:
        """All of them, the oldest first."""
        found: Any = self._client.zrange(self._keys[0], 0, -1, withscores=True)
        return [one for member, score in found if (one := self._kept(member, score)) is not None]

    def newest(self) -> str | None:
        """The id of the one that was set aside last, None where there is none."""
        found: Any = self._client.zrange(self._keys[0], -1, -1)
        return _text(found[0]) if found else None

    def remove(self, kept_id: str) -> bool:
        """Remove one for good; whether it was there."""
        return self._take_back(self._keys, kept_id, b"")

    def put_back(self, kept: Kept) -> bool:
        """Put a whole message back into its queue, as new; whether it was there."""
        keys = [*self._keys, self._key(kept.queue)]
        return self._take_back(keys, kept.id, _as_new(kept.content))

    def _take_back(self, keys: list[str], kept_id: str, item: bytes) -> bool:
        return bool(self._client.register_script(_TAKE_BACK)(keys, [kept_id, item]))

    def _kept(self, member: Any, score: float) -> Kept | None:
        record = self._client.hget(self._keys[1], member)
        if record is None:
            return None
        at = datetime.fromtimestamp(score, UTC)
        try:
            known = json.loads(record)
            content = base64.b64decode(known["content"])
            return Kept(
                _text(member), at, known["queue"], known["reason"], known["length"], content
            )
        except (LookupError, TypeError, ValueError):
            return Kept(_text(member), at, "?", "its record cannot be read", len(record), b"")

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"


def announce(client: Redis, prefix: str) -> None:
    """Open the alert where a message was set aside since the last alert, and close it where none is
    set aside any more. Raises RedisError and LedgerAway.
    """
    aside = SetAside(client, prefix)
    newest = aside.newest()
    if newest is None:
        ledger().alerts.close(CAUSE)
        return
    aside.forget_old()
    told = f"{prefix}{SET_ASIDE}_told"
    known = client.get(told)
    if known is not None and _text(known) == newest:
        return
    kept = aside.kept()
    if kept:
        ledger().alerts.open(Alert(CAUSE, MESSAGE, EVERY_ACCOUNT, summary(kept)))
        client.set(told, newest, ex=KEPT_SECONDS)


def summary(kept: list[Kept]) -> str:
    """Return the text of the alert for these messages."""
    last = kept[-1]
    return (
        f"messages that cannot be understood: {len(kept)}; they are set aside, nothing was done "
        f"for them; the last lay in the queue {last.queue}: {last.reason}; see: {COMMAND}"
    )


def _as_new(item: bytes) -> bytes:
    """The message as if no worker had died over it."""
    try:
        payload = json.loads(item)
        del payload["properties"][DEATHS]
    except (LookupError, RecursionError, TypeError, ValueError):
        return item
    return json.dumps(payload).encode()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
