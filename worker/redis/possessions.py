"""What this worker has, in Redis: its accounts and its spool. Other workers hand over what needs
them.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from redis import Redis
from redis.exceptions import RedisError

from config.queues import DOWNLOADS, FRONT_DOOR, KNOWS, SPOOL
from config.settings import settings
from config.version import VERSION
from tasks.runtime.context import spool

_log = logging.getLogger(__name__)

#: How long a key lasts at least; a worker renews it at half this time.
LIFETIME_SECONDS = 60


def lifetime_seconds() -> int:
    """Return how long the keys of a worker's presence last after it was killed."""
    return max(LIFETIME_SECONDS, int(4 * settings().sweep_seconds))


def names_of(queues: Collection[str]) -> list[str]:
    """Return the names of the keys of a worker that consumes these queues.

    One that accepts tasks says which accounts it knows, one that fetches files which spool it has.
    """
    names = [KNOWS + alias for alias in settings().accounts] if FRONT_DOOR in queues else []
    identity = spool().identity() if DOWNLOADS in queues else None
    return names if identity is None else [*names, SPOOL + identity]


def announce(client: Redis, queues: Collection[str], removed: Iterable[str] = ()) -> None:
    """Say at once what a worker has that consumes these queues; an error of Redis is only logged.

    A worker that still knows one of the ``removed`` accounts says so again within seconds.
    """
    try:
        for name in names_of(queues):
            client.set(settings().redis_key(name), VERSION, ex=lifetime_seconds())
        for alias in removed:
            client.delete(settings().redis_key(KNOWS + alias))
    except (RedisError, OSError) as error:
        _log.info("the messages that this worker holds were not announced (%s)", error)
