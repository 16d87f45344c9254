"""The address of the worker's Redis, and the prefix of its keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis import BlockingConnectionPool
from redis.exceptions import RedisError

from . import sentinels
from .errors import InvalidArgument
from .sentinels import Sentinels

ADVICE = (
    'write it like "redis://127.0.0.1:6379/0", "rediss://...", "unix:///run/redis.sock?db=0" or '
    '"sentinel://h1:26379,h2:26379/0?master_name=mymaster"'
)


def checked_prefix(prefix: str) -> str:
    """Refuse a prefix without a separator at its end.

    Celery's result backend appends "_" to such a prefix, so no worker has one.
    """
    if prefix and prefix[-1] not in "._:-":
        raise InvalidArgument(
            "not done: key_prefix: write it as the worker's EARWITNESS_REDIS_KEY_PREFIX, which "
            "ends with '.', '_', ':' or '-'"
        )
    return prefix


def redis_address(url: str) -> str:
    """Return the address in redis-py's notation. Raises InvalidArgument."""
    scheme, _, rest = url.partition("://")
    if scheme not in {"redis", "rediss", "unix", "redis+socket"} or not rest:
        raise InvalidArgument(f"not done: url: {ADVICE}")
    if scheme == "rediss":
        # Translate Celery's values, which redis-py does not know.
        return re.sub("(?<=ssl_cert_reqs=)CERT_[A-Z]+", lambda word: word[0][5:].lower(), url)
    if scheme != "redis+socket":
        return url
    # Celery's notation for a socket.
    parts = urlsplit(url)
    query = {"virtual_host": "db"}
    pairs = [(query.get(name, name), value) for name, value in parse_qsl(parts.query)]
    return f"unix://{parts.netloc}{parts.path}{'?' if pairs else ''}{urlencode(pairs)}"


@dataclass(frozen=True)
class Address:
    """Where the worker's Redis is.

    ``url`` is in redis-py's notation, ``prefix`` before every key; ``options`` are the connection's
    as redis-py reads them from ``url``. With ``sentinels``, the server is the master that they
    name, whichever ``url`` has.
    """

    url: str
    prefix: str
    options: Mapping[str, Any]
    sentinels: Sentinels | None = None

    def place(self, queue: str) -> str:
        """Return the server, database, queue and prefix, without user and password."""
        options = self.options
        server = options.get("path") or f"{options.get('host')}:{options.get('port')}"
        if self.sentinels is not None:
            server = self.sentinels.place
        prefix = f", key prefix {self.prefix}" if self.prefix else ""
        return f"{server}, database {options.get('db') or 0}, queue {queue}{prefix}"


def read_address(url: str, key_prefix: str, pools: Any = BlockingConnectionPool) -> Address:
    """Read an address and a prefix as redis-py's ``pools`` do. Raises InvalidArgument.

    redis-py's own errors quote parts of the address, such as a password that contains a slash.
    """
    named: Sentinels | None = None
    if url.partition("://")[0].lower() in sentinels.SCHEMES:
        url, named = sentinels.read_sentinels(url)
    readable, prefix = redis_address(url), checked_prefix(key_prefix)
    try:
        pool = pools.from_url(readable)
        # Only this finds an unknown option; it opens no connection.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError):
        raise InvalidArgument(
            f"not done: url: redis-py cannot read it; {ADVICE}, with %2F for a / in a password "
            "(and so on), and only options that it knows"
        ) from None
    options = dict(pool.connection_kwargs)
    if named is not None:
        named = named.with_tls({one: options[one] for one in options if one.startswith("ssl_")})
    return Address(readable, prefix, options, named)
