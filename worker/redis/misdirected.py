"""Tasks for Earwitness in places that no worker consumes.

Such places are Celery's default queue ``celery``, another database of the same Redis, and our queue
without our prefix. The functions only look, because those messages may belong to another
application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis import Redis

from config.queues import FRONT_DOOR, IDENTITY

#: Where Celery puts a task if its sender names no queue.
CELERY_DEFAULT_QUEUE = "celery"
#: So many of a queue's first and of its last messages are examined.
_EXAMINED = 100
_DATABASE = re.compile(r"db(\d+)")


@dataclass(frozen=True)
class Misdirected:
    """The count of tasks in a queue of a database, a minimum if ``at_least`` is set."""

    count: int
    queue: str
    database: int
    at_least: bool = False


def in_our_database(client: Redis, prefix: str) -> list[Misdirected]:
    """Find our tasks in the queue ``celery`` of our database, and in our queue without the prefix.

    A Redis user made for Earwitness may only read keys with the prefix (docs/redis.md), so only
    those are read for it. Raises RedisError, NoPermissionError included.
    """
    database = _database(client)
    prefixes = {prefix} if _username(client) else {prefix, ""}
    found = [
        Misdirected(count, queue, database, at_least)
        for queue in sorted(f"{one}{CELERY_DEFAULT_QUEUE}" for one in prefixes)
        for count, at_least in [_ours_among(client, queue)]
    ]
    if prefix and "" in prefixes and client.get(IDENTITY) is None:
        found.append(Misdirected(int(client.llen(FRONT_DOOR)), FRONT_DOOR, database))
    return [one for one in found if one.count]


def in_other_databases(client: Redis, prefix: str) -> Iterator[Misdirected]:
    """Yield what lies in a queue of our name in databases of this Redis without a deployment.

    ``client`` must have one connection, which is back in its own database afterwards. Raises
    RedisError.
    """
    own = _database(client)
    facts: dict[str, Any] = client.info("keyspace")
    others = [int(match[1]) for name in facts if (match := _DATABASE.fullmatch(name))]
    try:
        for database in others:
            if database == own:
                continue
            client.execute_command("SELECT", database)
            if client.get(f"{prefix}{IDENTITY}") is None:
                queue = f"{prefix}{FRONT_DOOR}"
                count = int(client.llen(queue))
                if count:
                    yield Misdirected(count, queue, database)
    finally:
        client.execute_command("SELECT", own)


def explain(one: Misdirected) -> tuple[str, str]:
    """Return what the finding means, and what to do."""
    count = f"{'at least ' if one.at_least else ''}{one.count} task{'s' * (one.count != 1)}"
    meaning = (
        f"found {count} for Earwitness in the queue {one.queue} of database {one.database}, which "
        "no worker of Earwitness consumes; nothing was done"
    )
    if one.queue.endswith(CELERY_DEFAULT_QUEUE):
        return meaning, f'have their sender use queue="{FRONT_DOOR}", and send them again'
    advice = (
        "have their sender use the database of EARWITNESS_REDIS_URL and the key prefix of "
        "EARWITNESS_REDIS_KEY_PREFIX, as the workers do, and send them again"
    )
    return meaning, advice


def _ours_among(client: Redis, queue: str) -> tuple[int, bool]:
    """Return how many messages name a task of ours, and whether there may be more."""
    length = int(client.llen(queue))
    if not length:
        return 0, False
    messages: list[Any] = list(client.lrange(queue, 0, _EXAMINED - 1))
    if length > _EXAMINED:
        left = min(_EXAMINED, length - _EXAMINED)
        messages += list(client.lrange(queue, -left, -1))
    ours = sum(_is_ours(message) for message in messages)
    return ours, ours > 0 and length > 2 * _EXAMINED


def _is_ours(message: bytes) -> bool:
    try:
        headers = json.loads(message)["headers"]
        return str(headers["task"]).startswith("earwitness.")
    except (LookupError, RecursionError, TypeError, ValueError):
        return False


def _username(client: Redis) -> str | None:
    """Return the name of our user, None for Redis' default user, who may do everything."""
    name = client.connection_pool.connection_kwargs.get("username")
    return None if name == "default" else name


def _database(client: Redis) -> int:
    return int(client.connection_pool.connection_kwargs.get("db") or 0)
