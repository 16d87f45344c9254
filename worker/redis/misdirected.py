"""Tasks of ours that lie where no worker of ours looks: in the queue ``celery``, where Celery puts
what names no queue, in another database of the same Redis, or without our prefix.

Nothing is taken from anywhere: what lies there may belong to another application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis import Redis

from config.queues import FRONT_DOOR, IDENTITY

#: Where Celery puts a task whose sender names no queue.
CELERYS_OWN = "celery"
#: So many of the first and of the last messages of a queue are looked at.
_LOOKED_AT = 100
_DATABASE = re.compile(r"db(\d+)")


@dataclass(frozen=True)
class Misdirected:
    """So many messages lie in a queue of a database, ``at_least`` where not all were looked at."""

    count: int
    queue: str
    database: int
    at_least: bool = False


def for_us(client: Redis, prefix: str) -> list[Misdirected]:
    """What lies in the queue ``celery`` of our database and names a task of ours, or in our queue
    without the prefix. Raises RedisError, NoPermissionError among them.

    A user of its own may look at what has the prefix alone (docs/redis.md), and is not let try.
    """
    database = _database(client)
    prefixes = {prefix} if _username(client) else {prefix, ""}
    found = [
        Misdirected(count, queue, database, at_least)
        for queue in sorted(f"{one}{CELERYS_OWN}" for one in prefixes)
        for count, at_least in [_ours_among(client, queue)]
    ]
    if prefix and "" in prefixes and client.get(IDENTITY) is None:
        found.append(Misdirected(int(client.llen(FRONT_DOOR)), FRONT_DOOR, database))
    return [one for one in found if one.count]


def elsewhere(client: Redis, prefix: str) -> Iterator[Misdirected]:
    """What lies in a queue of our name in other databases of this Redis in which no deployment is.
    ``client`` has one connection, which is in its own database again afterwards. Raises RedisError.
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


def explained(one: Misdirected) -> tuple[str, str]:
    """Return what it means, and what to do."""
    many = f"{'at least ' if one.at_least else ''}{one.count} task{'s' * (one.count != 1)}"
    meaning = (
        f"{many} for Earwitness lie in the queue {one.queue} of database {one.database}, which no "
        "worker of Earwitness consumes: they are not done"
    )
    if one.queue.endswith(CELERYS_OWN):
        return meaning, f'let their sender say queue="{FRONT_DOOR}", and send them again'
    advice = (
        "let their sender use the database of EARWITNESS_REDIS_URL and the key prefix of "
        "EARWITNESS_REDIS_KEY_PREFIX, as the workers do, and send them again"
    )
    return meaning, advice


def _ours_among(client: Redis, queue: str) -> tuple[int, bool]:
    """How many messages name a task of ours, and whether there may be more."""
    length = int(client.llen(queue))
    if not length:
        return 0, False
    messages: list[Any] = list(client.lrange(queue, 0, _LOOKED_AT - 1))
    if length > _LOOKED_AT:
        left = min(_LOOKED_AT, length - _LOOKED_AT)
        messages += list(client.lrange(queue, -left, -1))
    ours = sum(_is_ours(message) for message in messages)
    return ours, ours > 0 and length > 2 * _LOOKED_AT


def _is_ours(message: bytes) -> bool:
    try:
        headers = json.loads(message)["headers"]
        return str(headers["task"]).startswith("earwitness.")
    except (LookupError, RecursionError, TypeError, ValueError):
        return False


def _username(client: Redis) -> str | None:
    """Of a user that is not Redis' own, who may do everything."""
    name = client.connection_pool.connection_kwargs.get("username")
    return None if name == "default" else name


def _database(client: Redis) -> int:
    return int(client.connection_pool.connection_kwargs.get("db") or 0)
