"""Connections of our own to the Redis of the settings: the server itself, or the master that its
sentinels name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from redis import Redis
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from config import sentinels
from config.settings import Settings


class Sentinels(Sentinel):
    """The sentinels, for several threads: redis-py's own class may lose one of them then."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._asking = threading.Lock()

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the master's host and port. Raises MasterNotFoundError, a ConnectionError."""
        with self._asking:
            host, port = super().discover_master(service_name)
        return str(host), int(port)


@contextmanager
def connected(settings: Settings, **options: Any) -> Iterator[Redis]:
    """Yield a client of Redis, and close its connections afterwards.

    ``options`` are redis-py's options of the client.
    """
    url = settings.redis_url.get_secret_value()
    if not sentinels.is_sentinel(url):
        with Redis.from_url(url, **options) as client:
            yield client
        return
    single = options.pop("single_connection_client", False)
    named = sentinels.read(url)
    with closing(asked(named)) as sentinel:
        pool = SentinelConnectionPool(
            named.master_name,
            sentinel,
            connection_class=SentinelManagedSSLConnection
            if named.tls
            else SentinelManagedConnection,
            db=named.database,
            username=named.username,
            password=named.password,
            **(named.tls or {}),
            **options,
        )
        try:
            yield Redis(connection_pool=pool, single_connection_client=single)
        finally:
            pool.disconnect()


def asked(named: sentinels.Sentinels, **options: Any) -> Sentinels:
    """Return the sentinels of an address; ``options`` are those of the master's connections."""
    return Sentinels(named.hosts, sentinel_kwargs=named.connection_options, **options)
