"""The mark of beat in Redis: when a worker last carried out one of its ticks.

The days of the ledger do not show whether beat ticks, since people export days by hand, too.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from celery import current_app
from redis import Redis

from config.queues import TICKED
from config.settings import settings
from tasks.runtime.redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)


def note(now: datetime) -> None:
    """Note that a tick was carried out; an error of Redis is only logged."""
    try:
        client: Any = current_app.backend.client
        client.set(settings().redis_key(TICKED), now.timestamp())
    except BROKER_AWAY as error:
        _log.info("the tick of beat was not noted in Redis (%s)", error)


def last(client: Redis) -> datetime | None:
    """Return when a tick was last carried out; None if Redis does not know. Raises RedisError."""
    noted: Any = client.get(settings().redis_key(TICKED))
    with suppress(TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(float(noted), UTC)
    return None
