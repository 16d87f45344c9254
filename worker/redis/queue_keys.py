"""Repair of Redis keys that hold a wrong type: they are moved aside.

Workers ask for the messages of all queues with one command. If one queue's key holds no list, that
command fails and no worker gets any message. The keys of messages in hand stop workers, too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from config.queues import (
    DOWNLOADS,
    DUE,
    FRONT_DOOR,
    HOLDERS,
    MISPLACED,
    SET_ASIDE,
    SET_ASIDE_INDEX,
    UNACKED,
    UNACKED_INDEX,
)
from config.settings import settings
from ledger.alerts import CONTRADICTION, EVERY_ACCOUNT, Alert
from tasks.runtime.context import ledger
from tasks.runtime.redis_errors import is_wrong_type

_log = logging.getLogger(__name__)

#: Time for a person to repair the key by hand.
_GRACE_SECONDS = 10.0
#: How long a value that was moved aside is kept.
_KEPT_SECONDS = 7 * 86_400


def _as_list(client: Any, key: str) -> None:
    client.llen(key)


def _as_hash(client: Any, key: str) -> None:
    client.hget(key, "")


def _as_sorted_set(client: Any, key: str) -> None:
    client.zrange(key, 0, 0)


#: Reads of the keys of messages in hand and of messages set aside, one for each key's type.
_OTHERS: dict[str, Callable[[Any, str], None]] = {
    UNACKED: _as_hash,
    UNACKED_INDEX: _as_sorted_set,
    HOLDERS: _as_sorted_set,
    SET_ASIDE: _as_hash,
    SET_ASIDE_INDEX: _as_sorted_set,
}
#: Workers read the holders only while messages are in hand.
_LOOKED_FOR = [key for key in _OTHERS if key != HOLDERS]


class QueueKeys:
    """The keys of our queues and of messages in hand, as one worker's sweeper sees them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        #: Built at the first use and after an error: a connection for each look costs Redis more
        #: than the look.
        self._connection: Any = None
        #: When each key was first seen with a wrong type, in monotonic seconds.
        self._wrong_since: dict[str, float] = {}
        #: Whether the last look found no message anywhere.
        self.are_absent = False

    def look(self) -> None:
        """Look with one command whether any key is there: of queues, in hand or set aside.

        Raises RedisError, OperationalError and LedgerAway.
        """
        self.are_absent = False
        keys = [settings().redis_key(key) for key in _LOOKED_FOR]
        try:
            channel = self._channel()
            for queue in (FRONT_DOOR, DUE, DOWNLOADS):
                keys += _keys_of(channel, queue)
            with channel.conn_or_acquire() as client:
                self.are_absent = not client.exists(*keys)
        except ResponseError:
            return  # the looks at single keys report it, each for itself
        except Exception:
            self.close()
            raise
        if self.are_absent:
            self._wrong_since.clear()

    def length(self, queue: str) -> int:
        """Return the number of messages in a queue.

        A key of a wrong type raises ResponseError for ten seconds; then it is moved aside. Also
        raises RedisError, OperationalError and LedgerAway.
        """
        if self.are_absent:
            return 0
        try:
            length = self._length(queue)
        except ResponseError:
            raise
        except Exception:
            self.close()
            raise
        self._wrong_since.pop(queue, None)
        return length

    def close(self) -> None:
        """Close the connection; the next look builds another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _channel(self) -> Any:
        if self._connection is None:
            self._connection = self._app.connection_for_write()
        return self._connection.default_channel

    def _length(self, queue: str) -> int:
        channel = self._channel()
        with channel.conn_or_acquire() as client:
            # Most looks find nothing, with one command instead of one for each priority.
            if not client.exists(*_keys_of(channel, queue)):
                return 0
        try:
            return int(channel._size(queue))  # noqa: SLF001 - counts every priority
        except ResponseError as error:
            if not (is_wrong_type(error) and self._has_lasted(queue)):
                raise
            for step in channel.priority_steps:
                _move_aside(self._app.backend.client, channel._q_for_pri(queue, step))  # noqa: SLF001
            return int(channel._size(queue))  # noqa: SLF001

    def move_wrong_aside(self) -> None:
        """Move aside keys of messages in hand or set aside that had a wrong type for ten seconds.

        Raises RedisError and LedgerAway.
        """
        if self.are_absent:
            return
        client = self._app.backend.client
        for key, read in _OTHERS.items():
            if not _is_wrong(client, key, read):
                self._wrong_since.pop(key, None)
            elif self._has_lasted(key):
                _move_aside(client, key, read)

    def _has_lasted(self, key: str) -> bool:
        since = self._wrong_since.setdefault(key, time.monotonic())
        return time.monotonic() - since >= _GRACE_SECONDS


def _keys_of(channel: Any, queue: str) -> list[str]:
    """Return the keys of a queue, one for each priority."""
    return [
        f"{channel.global_keyprefix}{channel._q_for_pri(queue, step)}"  # noqa: SLF001
        for step in channel.priority_steps
    ]


def _is_wrong(client: Any, key: str, read: Callable[[Any, str], None]) -> bool:
    """Return whether a key holds another type than ``read`` expects."""
    try:
        read(client, settings().redis_key(key))
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        return True
    return False


def _move_aside(client: Any, key: str, read: Callable[[Any, str], None] = _as_list) -> None:
    """Rename a key of a wrong type, and open an alert."""
    if not _is_wrong(client, key, read):
        return
    current, aside = settings().redis_key(key), settings().redis_key(MISPLACED + key)
    try:
        client.rename(current, aside)
        client.expire(aside, _KEPT_SECONDS)
        done = f"it was moved to {aside!r}, where it is kept for a week"
    except NoPermissionError as error:
        done = f"it could not be moved aside ({error}): rename or delete it"
    message = (
        f"in Redis, the key {current!r} held another type, so workers got no messages; "
        f"{done}; see which user may write there (docs/redis.md)"
    )
    _log.error("%s", message)
    cause = f"{CONTRADICTION}:queue:{key.encode('unicode_escape').decode()}"
    ledger().alerts.open(Alert(cause, CONTRADICTION, EVERY_ACCOUNT, message))
