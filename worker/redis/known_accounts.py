"""The aliases that this worker knows, in Redis: another worker hands over what needs them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from redis import Redis
from redis.exceptions import RedisError

from config.queues import KNOWS
from config.settings import settings
from config.version import VERSION

_log = logging.getLogger(__name__)

#: How long a key lasts at least; a worker renews it at half this time.
LIFETIME_SECONDS = 60


def lifetime_seconds() -> int:
    """Return how long the keys of a worker's presence last after it was killed."""
    return max(LIFETIME_SECONDS, int(4 * settings().sweep_seconds))


def keys() -> list[str]:
    """Return the names of the keys that say which accounts this worker knows."""
    return [KNOWS + alias for alias in settings().accounts]


def announce_accounts(client: Redis, removed: Iterable[str] = ()) -> None:
    """Say at once which accounts this worker knows; an error of Redis is only logged.

    A worker that still knows one of the ``removed`` says so again within seconds.
    """
    try:
        for name in keys():
            client.set(settings().redis_key(name), VERSION, ex=lifetime_seconds())
        for alias in removed:
            client.delete(settings().redis_key(KNOWS + alias))
    except (RedisError, OSError) as error:
        _log.info("the accounts that this worker knows were not announced (%s)", error)
