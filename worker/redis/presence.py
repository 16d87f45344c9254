"""A worker's presence in Redis, and warnings about the other workers' presence.

Producers may read whether a worker listens. Workers warn of a queue that none of them consumes, and
of another worker with their node name.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR, HERE, LISTENING, NODE
from config.settings import settings
from config.version import VERSION

from . import possessions
from .away_alert import RedisAlert
from .broker import consumption
from .misdirected import explain, in_our_database

_log = logging.getLogger(__name__)

#: What stops while no worker consumes a queue.
WITHOUT_CONSUMER = {
    FRONT_DOOR: "no tasks are accepted",
    DUE: "no jobs are started and no tasks are answered",
    DOWNLOADS: "nothing is downloaded",
}
#: The keys are renewed twice in their lifetime, and at once if one of them is gone.
_RENEWALS = 2
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
            "this worker consumes none of %s: it accepts no tasks and does no jobs",
            ", ".join(WITHOUT_CONSUMER),
        )


class Presence:
    """The presence of one worker, given by its node name."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._token = str(uuid.uuid4())
        self._alert = RedisAlert(node)
        self._is_announced = False
        self._began = time.monotonic()
        #: When this worker last wrote each key, in monotonic seconds.
        self._written_at: dict[str, float] = {}
        self._warned_at: dict[str, float] = {}

    def announce(self, client: Redis) -> None:
        """Renew this worker's keys and warn of faults; log an error of Redis, and alert people if
        it lasts. Raises LedgerAway.
        """
        try:
            self._announce(client)
        except (RedisError, OSError) as error:
            _log.info("the worker's presence in Redis was not renewed (%s)", error)
            self._alert.failed(error)
        else:
            self._alert.answered()

    def _announce(self, client: Redis) -> None:
        at, queues = consumption.last
        recently = time.monotonic() - at < _LISTENS_SECONDS
        listens = WITHOUT_CONSUMER.keys() & queues if recently else set()
        found = self._read(client)
        self._warn_of_name(found[NODE + self._node])
        self._write(client, self._wanted(listens), found)
        if not recently:
            # Redis was away, and the other workers are reconnecting as this one is.
            self._began = time.monotonic()
        if time.monotonic() - self._began > _STARTUP_SECONDS:
            self._warn_of_unconsumed(found, listens)
        self._warn_of_misdirected(client)

    def _read(self, client: Redis) -> dict[str, bytes | None]:
        names = [NODE + self._node, HERE, *(LISTENING + queue for queue in WITHOUT_CONSUMER)]
        names += possessions.names_of(WITHOUT_CONSUMER)
        values: Any = client.mget([_key(name) for name in names])
        return dict(zip(names, values, strict=True))

    def _wanted(self, listens: Collection[str]) -> dict[str, str]:
        """Return the values of the keys that this worker keeps alive."""
        names = [LISTENING + one for one in listens]
        names += possessions.names_of(listens)
        return {NODE + self._node: self._token, **dict.fromkeys(names, VERSION)}

    def _write(
        self, client: Redis, wanted: Mapping[str, str], found: Mapping[str, bytes | None]
    ) -> None:
        """Write keys that have another value, and each one after a part of its lifetime."""
        lifetime = possessions.lifetime_seconds()
        fresh_since = time.monotonic() - lifetime / _RENEWALS
        for name, value in wanted.items():
            is_fresh = self._written_at.get(name, float("-inf")) > fresh_since
            if not is_fresh or found.get(name) != value.encode():
                client.set(_key(name), value, ex=lifetime)
                self._written_at[name] = time.monotonic()
        if LISTENING + FRONT_DOOR in wanted and found[HERE] != VERSION.encode():
            client.set(_key(HERE), VERSION)

    def _warn_of_name(self, holder: bytes | None) -> None:
        # Before the first write, the key may be a killed worker's; after it, a foreign value is
        # that of a worker that runs.
        if self._is_announced and holder not in (None, self._token.encode()):
            self._warn(
                "name",
                f"another worker is called {self._node}, too: Flower, health and remote control "
                "cannot tell the two apart; give each its own name: celery -A worker worker -n "
                "NAME@%h",
            )
        self._is_announced = True

    def _warn_of_unconsumed(
        self, found: Mapping[str, bytes | None], listens: Collection[str]
    ) -> None:
        for queue, meaning in WITHOUT_CONSUMER.items():
            if queue not in listens and found[LISTENING + queue] is None:
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


def _key(name: str) -> str:
    return settings().redis_key(name)
