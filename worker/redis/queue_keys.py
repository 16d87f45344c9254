"""Keys in Redis that hold another type than they must: they are moved aside.

Workers ask for the messages of all queues at once, so one queue's key that holds no list keeps
every message from them. So do the keys of messages in hand.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from config.queues import HOLDERS, MISPLACED, SET_ASIDE, SET_ASIDE_INDEX, UNACKED, UNACKED_INDEX
from config.settings import settings
from ledger.alerts import CONTRADICTION, EVERY_ACCOUNT, Alert
from tasks.runtime.context import ledger
from tasks.runtime.redis_errors import is_wrong_type

_log = logging.getLogger(__name__)

#: Somebody may be about to mend it by hand.
_PATIENCE_SECONDS = 10.0
#: What was moved aside is kept for so long.
_KEPT_SECONDS = 7 * 86_400


def _as_list(client: Any, key: str) -> None:
    client.llen(key)


def _as_hash(client: Any, key: str) -> None:
    client.hget(key, "")


def _as_sorted_set(client: Any, key: str) -> None:
    client.zrange(key, 0, 0)


#: How the keys of messages in hand, and of those that were set aside, are read.
_OTHERS: dict[str, Callable[[Any, str], None]] = {
    UNACKED: _as_hash,
    UNACKED_INDEX: _as_sorted_set,
    HOLDERS: _as_sorted_set,
    SET_ASIDE: _as_hash,
    SET_ASIDE_INDEX: _as_sorted_set,
}


class QueueKeys:
    """The keys of our queues and of messages in hand, as one worker's sweeper looks at them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        #: Since when a key has held another type, by the monotonic clock.
        self._wrong_since: dict[str, float] = {}

    def length(self, queue: str) -> int:
        """How many messages lie in a queue. Raises RedisError, OperationalError, LedgerAway; also
        where its key holds another type, until that has lasted so long that it is moved aside.
        """
        with self._app.connection_for_write() as connection:
            channel = connection.default_channel
            try:
                length = int(channel._size(queue))  # noqa: SLF001 - counts every priority
            except ResponseError as error:
                if not (is_wrong_type(error) and self._has_lasted(queue)):
                    raise
                for step in channel.priority_steps:
                    _make_room(self._app.backend.client, channel._q_for_pri(queue, step))  # noqa: SLF001
                length = int(channel._size(queue))  # noqa: SLF001
        self._wrong_since.pop(queue, None)
        return length

    def mend_others(self) -> None:
        """Move aside what has stood for ten seconds, with another type, under a key of messages in
        hand or of those set aside. Raises RedisError, LedgerAway.
        """
        client = self._app.backend.client
        for key, read in _OTHERS.items():
            if not _is_wrong(client, key, read):
                self._wrong_since.pop(key, None)
            elif self._has_lasted(key):
                _make_room(client, key, read)

    def _has_lasted(self, key: str) -> bool:
        since = self._wrong_since.setdefault(key, time.monotonic())
        return time.monotonic() - since >= _PATIENCE_SECONDS


def _is_wrong(client: Any, key: str, read: Callable[[Any, str], None]) -> bool:
    """Whether a key holds another type than the one that it is read as."""
    try:
        read(client, settings().redis_key(key))
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        return True
    return False


def _make_room(client: Any, key: str, read: Callable[[Any, str], None] = _as_list) -> None:
    """Move the value of a key aside where it has another type."""
    if not _is_wrong(client, key, read):
        return
    stands, aside = settings().redis_key(key), settings().redis_key(MISPLACED + key)
    try:
        client.rename(stands, aside)
        client.expire(aside, _KEPT_SECONDS)
        done = f"it was moved to {aside!r}, where it is kept for a week"
    except NoPermissionError as error:
        done = f"it could not be moved aside ({error}): rename or delete it"
    message = (
        f"in Redis the key {stands!r} held another type, so that workers got no messages; "
        f"{done}; see which user may write there (docs/redis.md)"
    )
    _log.error("%s", message)
    cause = f"{CONTRADICTION}:queue:{key.encode('unicode_escape').decode()}"
    ledger().alerts.open(Alert(cause, CONTRADICTION, EVERY_ACCOUNT, message))
