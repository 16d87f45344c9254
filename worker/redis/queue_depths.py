"""How many messages each queue holds, and for how long the oldest has waited there.

A message does not say when it was sent. So the worker that first finds a message at the end of a
queue notes that time in Redis, where every worker finds it, also one that was started since.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kombu.transport.redis import Channel
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from config.queues import DOWNLOADS, DUE, FRONT_DOOR, OLDEST
from config.settings import settings
from tasks.nights import ticks

from .connecting import connected

_log = logging.getLogger(__name__)

QUEUES = (FRONT_DOOR, DUE, DOWNLOADS)
#: Under the time for which a scrape waits.
_SECONDS = 1.5
#: The notes of a deployment that has ended are forgotten after so long.
_KEPT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Depth:
    """The messages of one queue, and the age of the oldest in seconds: 0 without messages."""

    messages: int
    age: float


@dataclass(frozen=True, slots=True)
class RedisState:
    """What this worker found in Redis by a new connection.

    ``broker`` says whether the queues can be read, ``results`` whether results can. ``depths`` is
    empty if the broker is away.
    """

    broker: bool
    results: bool
    depths: Mapping[str, Depth]
    #: Why one of them is away, or None.
    error: Exception | None = None
    #: When a tick of beat was last carried out, or None.
    ticked_at: datetime | None = None


def look() -> RedisState:
    """Return what a new connection finds in Redis. Raises nothing: Redis that is away is a state.

    A new connection, because an old one keeps working after its password was changed.
    """
    try:
        with connected(
            settings(),
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            single_connection_client=True,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
            depths, refused = _depths_or_error(client)
            lost = _results_error(client)
            ticked_at = None if refused else _ticked_at(client)
            return RedisState(refused is None, lost is None, depths, refused or lost, ticked_at)
    except (RedisError, OSError) as error:
        return RedisState(broker=False, results=False, depths={}, error=error)


def _depths_or_error(client: Redis) -> tuple[dict[str, Depth], Exception | None]:
    try:
        return {queue: _depth(client, queue) for queue in QUEUES}, None
    except NoPermissionError as error:
        return {}, error


def _results_error(client: Redis) -> Exception | None:
    try:
        client.get(settings().redis_key("celery-task-meta-none"))
    except NoPermissionError as error:
        return error
    return None


def _ticked_at(client: Redis) -> datetime | None:
    try:
        return ticks.last(client)
    except ResponseError as error:
        _warn_of_tick(str(error))
        return None


@functools.cache
def _warn_of_tick(error: str) -> None:
    """Warn once in a process, not at every look."""
    _log.warning(
        "the last tick of beat cannot be read from Redis (%s); it counts as unknown", error
    )


def _depth(client: Redis, queue: str) -> Depth:
    keys = list(_keys(queue))
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.llen(key)
        lengths: list[Any] = pipeline.execute(raise_on_error=False)
    for length in lengths:
        if isinstance(length, NoPermissionError):
            raise length
    # A key of another type holds no messages; the sweeper reports it.
    held = [key for key, n in zip(keys, lengths, strict=True) if isinstance(n, int) and n]
    messages = sum(n for n in lengths if isinstance(n, int))
    return Depth(messages, max((_age(client, key) for key in held), default=0.0))


def _keys(queue: str) -> Iterator[str]:
    """Yield the keys of a queue, one for each priority."""
    for step in Channel.priority_steps:
        yield settings().redis_key(f"{queue}{Channel.sep}{step}" if step else queue)


def _age(client: Redis, key: str) -> float:
    """Return for how long the message at the end of a list has been seen there, in seconds."""
    found: Any = client.lrange(key, -1, -1)
    if not found:
        return 0.0
    name, notes = _name(found[0]), settings().redis_key(OLDEST)
    now = _now(client)
    try:
        noted: Any = client.hget(notes, key) or b""
        known, _, since = noted.decode().partition(" ")
        if known == name:
            return max(now - float(since), 0.0)
        client.hset(notes, key, f"{name} {now}")
        client.expire(notes, _KEPT_SECONDS)
    except (ResponseError, ValueError):
        return 0.0
    return 0.0


def _now(client: Redis) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + microseconds / 1e6


def _name(item: bytes) -> str:
    """Return a name of a message, from its id alone: a message that was put back keeps it."""
    try:
        text = str(json.loads(item)["headers"]["id"]).encode()
    except (LookupError, RecursionError, TypeError, ValueError):
        text = item
    return hashlib.sha256(text).hexdigest()[:32]
