"""A worker's presence in Redis, and warnings about the other workers' presence.

Producers may read whether a worker listens. Workers warn of a queue that none of them consumes, and
of another worker with their node name.
"""

from __future__ import annotations

import logging
import time
import uuid

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR, HERE, LISTENING, NODE
from config.settings import settings
from config.version import VERSION

from .broker import consumption
from .misdirected import explain, in_our_database

_log = logging.getLogger(__name__)

#: What stops while no worker consumes a queue.
WITHOUT_CONSUMER = {
    FRONT_DOOR: "no task is accepted",
    DUE: "no job is taken up and no task is answered",
    DOWNLOADS: "nothing is downloaded",
}
#: How long a presence key lasts at least.
_LIFETIME_SECONDS = 60
#: A worker listens if it asked for messages within this time.
_LISTENS_SECONDS = 30.0
#: Workers that are started together have so long before the first warning.
_STARTUP_SECONDS = 10.0
_REPEAT_SECONDS = 600.0


def warn_about_queues(consumed: frozenset[str]) -> None:
    """Warn at the start if a worker consumes a foreign queue, or none of ours."""
    strange = consumed - WITHOUT_CONSUMER.keys()
    if strange:
        _log.warning(
            "this worker consumes %s, which is not a queue of Earwitness: it takes what others put "
            "there and discards it; start it without -Q, or with -Q %s",
            ", ".join(sorted(strange)),
            ",".join(WITHOUT_CONSUMER),
        )
    if not consumed & WITHOUT_CONSUMER.keys():
        _log.warning(
            "this worker consumes none of %s: it accepts no task and does no job",
            ", ".join(WITHOUT_CONSUMER),
        )


class Presence:
    """The presence of one worker, given by its node name."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._token = str(uuid.uuid4())
        self._is_announced = False
        self._began = time.monotonic()
        self._warned_at: dict[str, float] = {}

    def announce(self, client: Redis) -> None:
        """Renew this worker's keys and warn of faults; only log an error of Redis."""
        try:
            self._announce(client)
        except (RedisError, OSError) as error:
            _log.info("the worker's presence in Redis was not renewed (%s)", error)

    def _announce(self, client: Redis) -> None:
        self._claim_name(client)
        at, queues = consumption.last
        listens = (
            WITHOUT_CONSUMER.keys() & queues if time.monotonic() - at < _LISTENS_SECONDS else ()
        )
        for queue in listens:
            client.set(_key(LISTENING + queue), VERSION, ex=_lifetime_seconds())
        if FRONT_DOOR in listens:
            client.set(_key(HERE), VERSION)
        if time.monotonic() - self._began > _STARTUP_SECONDS:
            self._warn_of_unconsumed(client)
        self._warn_of_misdirected(client)

    def _claim_name(self, client: Redis) -> None:
        key = _key(NODE + self._node)
        holder = client.get(key)
        client.set(key, self._token, ex=_lifetime_seconds())
        # Before the first write, the key may be a killed worker's; after it, a foreign value is
        # that of a worker that runs.
        if self._is_announced and holder not in (None, self._token.encode()):
            self._warn(
                "name",
                f"another worker is called {self._node}, too: Flower, health and remote control "
                "take the two for one; give each its own name: celery -A worker worker -n NAME@%h",
            )
        self._is_announced = True

    def _warn_of_unconsumed(self, client: Redis) -> None:
        for queue, meaning in WITHOUT_CONSUMER.items():
            if client.get(_key(LISTENING + queue)) is None:
                self._warn(
                    queue,
                    f"no worker consumes {queue}: {meaning}; start one without -Q, or with -Q "
                    f"{queue}",
                )

    def _warn_of_misdirected(self, client: Redis) -> None:
        if self._may_warn("misdirected"):
            self._warned_at["misdirected"] = time.monotonic()
            try:
                found = in_our_database(client, settings().redis_key(""))
            except NoPermissionError:
                return  # doctor reports it
            for one in found:
                _log.warning("%s; %s", *explain(one))

    def _warn(self, what: str, sentence: str) -> None:
        if self._may_warn(what):
            self._warned_at[what] = time.monotonic()
            _log.warning("%s", sentence)

    def _may_warn(self, what: str) -> bool:
        said_at = self._warned_at.get(what)
        return said_at is None or time.monotonic() - said_at > _REPEAT_SECONDS


def _lifetime_seconds() -> int:
    return max(_LIFETIME_SECONDS, int(4 * settings().sweep_seconds))


def _key(name: str) -> str:
    return settings().redis_key(name)
