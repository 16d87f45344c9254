"""Flower's reading of the queues' lengths behind Sentinel.

Flower's own class asks one sentinel alone, and reads database 0 whichever the address names.
"""

from __future__ import annotations

from typing import Any

import flower.utils.broker
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from config import sentinels
from config.settings import settings


class SentinelBroker(flower.utils.broker.RedisSentinel):
    """Flower's broker on the master that our sentinels name."""

    def _get_redis_client(self, *_: Any) -> Redis:
        named = sentinels.read(settings().redis_url.get_secret_value())
        retry = Retry(NoBackoff(), 0)
        sentinel = Sentinel(
            named.hosts, sentinel_kwargs={**named.connection_options, "retry": retry}
        )
        master: Redis = sentinel.master_for(
            named.master_name,
            db=named.database,
            username=named.username,
            password=named.password,
            socket_timeout=self.socket_timeout,
            socket_connect_timeout=self.socket_connect_timeout,
            retry=retry,
            **({"ssl": True, **named.tls} if named.tls else {}),
        )
        return master


def install_sentinel_broker() -> None:
    """Have Flower read the queues' lengths so."""
    flower.utils.broker.RedisSentinel = SentinelBroker
