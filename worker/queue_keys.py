"""The keys of our queues hold lists. Where one holds anything else, no worker gets a message of any
queue, since all are asked for at once: so it is moved aside.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from config.settings import settings
from ledger.alerts import CONTRADICTION, EVERY_ACCOUNT, Alert
from tasks.redis_errors import is_wrong_type
from tasks.resources import ledger

_log = logging.getLogger(__name__)

#: Somebody may be about to mend it by hand.
_PATIENCE_SECONDS = 10.0
#: What was moved aside is kept for so long.
_KEPT_SECONDS = 7 * 86_400


class QueueKeys:
    """The keys of our queues, as one worker's sweeper looks at them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        #: Since when a queue's key has held another type, by the monotonic clock.
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

    def _has_lasted(self, queue: str) -> bool:
        since = self._wrong_since.setdefault(queue, time.monotonic())
        return time.monotonic() - since >= _PATIENCE_SECONDS


def _make_room(client: Any, key: str) -> None:
    """Move what stands under a key aside where it is no list."""
    stands = settings().redis_key(key)
    try:
        client.llen(stands)
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
    else:
        return
    aside = settings().redis_key(f"earwitness.misplaced.{key}")
    try:
        client.rename(stands, aside)
        client.expire(aside, _KEPT_SECONDS)
        done = f"it was moved to {aside!r}, where it is kept for a week"
    except NoPermissionError as error:
        done = f"it could not be moved aside ({error}): rename or delete it"
    message = (
        f"in Redis the key {stands!r} held no list, so that no worker got a message of any queue; "
        f"{done}; see which user may write there (docs/redis.md)"
    )
    _log.error("%s", message)
    cause = f"{CONTRADICTION}:queue:{key.encode('unicode_escape').decode()}"
    ledger().alerts.open(Alert(cause, CONTRADICTION, EVERY_ACCOUNT, message))
