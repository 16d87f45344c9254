"""``doctor`` on Redis, and on the workers behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import Settings

from ..redis_trouble import trouble
from ..start import REDIS_KEY, REDIS_WAY_OUT
from .deployment import announcing
from .findings import Finding, error, ok, warning

_SUBJECT = "redis"
_SECONDS = 3.0
#: For LMOVE and what kombu uses beside it.
_OLDEST = (6, 2)
_PURPOSE = {
    FRONT_DOOR: "no task is accepted",
    DUE: "no job is taken up and nobody is answered",
    DOWNLOADS: "nothing is downloaded",
}


def examined(settings: Settings, identity: str | None) -> Iterator[Finding]:
    """What there is to say of Redis, and of the workers where it answers."""
    url = settings.redis_url.get_secret_value()
    try:
        with Redis.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        ) as client:
            facts: dict[str, Any] = client.info()
            theirs = client.get(REDIS_KEY)
    except (RedisError, OSError) as failure:
        yield error(
            _SUBJECT,
            f"does not answer ({type(failure).__name__}): accepted jobs wait in the ledger, and "
            "nothing is accepted",
            "start it, or see EARWITNESS_REDIS_URL",
        )
        return
    yield from _server(facts)
    yield from _belonging(theirs if isinstance(theirs, bytes) else None, identity)
    yield from _workers()


def _server(facts: dict[str, Any]) -> Iterator[Finding]:
    version = str(facts.get("redis_version", "0"))
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _OLDEST:
        yield error(_SUBJECT, f"version {version} is older than 6.2", "use Redis 6.2 or Valkey")
    else:
        yield ok(_SUBJECT, f"answers, version {facts.get('valkey_version', version)}")
    if not facts.get("aof_enabled"):
        yield warning(
            _SUBJECT,
            "keeps no append-only file: tasks that are not accepted yet are lost with it",
            "set appendonly yes",
        )
    policy = facts.get("maxmemory_policy")
    if policy != "noeviction":
        yield warning(
            _SUBJECT,
            f"throws keys away when its memory is full ({policy}): tasks among them",
            "set maxmemory-policy noeviction",
        )


def _belonging(theirs: bytes | None, identity: str | None) -> Iterator[Finding]:
    if theirs is None:
        yield ok(_SUBJECT, "no deployment has claimed this database yet; the first worker does")
    elif theirs.decode() != identity:
        yield error(
            _SUBJECT,
            f"this database belongs to ledger {theirs.decode()}, not to ours; no worker starts",
            "give each deployment a database of its own, or, if the other one is gone for good, "
            f"delete the key {REDIS_KEY}",
        )


def _workers() -> Iterator[Finding]:
    try:
        with announcing() as app:
            answers = app.control.inspect(timeout=_SECONDS).active_queues() or {}
    except (OperationalError, RedisError, OSError) as failure:
        yield error("workers", f"could not be asked ({type(failure).__name__})", "run doctor again")
        return
    consumers: dict[str, list[str]] = {queue: [] for queue in _PURPOSE}
    for worker, queues in answers.items():
        for queue in queues:
            consumers.setdefault(queue["name"], []).append(worker)
    for queue, meaning in _PURPOSE.items():
        if consumers[queue]:
            yield ok("workers", f"{queue} is consumed by {', '.join(sorted(consumers[queue]))}")
        else:
            advice = "start one: celery -A worker worker"
            yield error("workers", f"none consumes {queue}: {meaning}", advice)
