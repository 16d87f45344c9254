"""The address of the worker's Redis, and the prefix of its keys."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from .errors import InvalidArgument

ADVICE = 'write it like "redis://127.0.0.1:6379/0", "rediss://..." or "unix:///run/redis.sock?db=0"'


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
