"""What a worker shows of itself in Redis, and what it sees there of the others.

Producers may read that a worker listens; workers notice a queue that none of them consumes, and
another worker of their own name.
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
from .misdirected import explained, for_us

_log = logging.getLogger(__name__)

#: What stands still where no worker consumes a queue.
PURPOSE = {
    FRONT_DOOR: "no task is accepted",
    DUE: "no job is taken up and no task is answered",
    DOWNLOADS: "nothing is downloaded",
}
#: How long a sign of life counts.
_COUNTS_SECONDS = 60
#: Asked for messages longer ago than this, a worker does not listen.
_ASKED_SECONDS = 30.0
#: Workers that are started together have so long to begin.
_BEGINNING_SECONDS = 10.0
_AGAIN_SECONDS = 600.0


def notice_queues(consumed: frozenset[str]) -> None:
    """Say at the start that a worker consumes a queue that is none of ours, or none that is."""
    strange = consumed - PURPOSE.keys()
    if strange:
        _log.warning(
            "this worker consumes %s, which is no queue of Earwitness: it takes what others put "
            "there and discards it; start it without -Q, or with -Q %s",
            ", ".join(sorted(strange)),
            ",".join(PURPOSE),
        )
    if not consumed & PURPOSE.keys():
        _log.warning(
            "this worker consumes none of %s: it accepts no task and does no job",
            ", ".join(PURPOSE),
        )


class Presence:
    """What one worker shows and sees. Parameters: ``node`` is its node name."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._token = str(uuid.uuid4())
        self._is_shown = False
        self._began = time.monotonic()
        self._said_at: dict[str, float] = {}

    def show(self, client: Redis) -> None:
        """One round: show that this worker lives, and say what is wrong, where Redis answers."""
        try:
            self._show(client)
        except (RedisError, OSError) as error:
            _log.info("Redis is shown no sign of life (%s)", error)

    def _show(self, client: Redis) -> None:
        self._claim_name(client)
        at, queues = consumption.last
        listens = PURPOSE.keys() & queues if time.monotonic() - at < _ASKED_SECONDS else ()
        for queue in listens:
            client.set(_key(LISTENING + queue), VERSION, ex=_lasts_seconds())
        if FRONT_DOOR in listens:
            client.set(_key(HERE), VERSION)
        if time.monotonic() - self._began > _BEGINNING_SECONDS:
            self._notice_unconsumed(client)
        self._notice_misdirected(client)

    def _claim_name(self, client: Redis) -> None:
        key = _key(NODE + self._node)
        holder = client.get(key)
        client.set(key, self._token, ex=_lasts_seconds())
        # At first it may be the mark of one that was killed; another's written over ours is not.
        if self._is_shown and holder not in (None, self._token.encode()):
            self._say(
                "name",
                f"another worker is called {self._node}, too: Flower, health and remote control "
                "take the two for one; give each a name of its own: celery -A worker worker -n "
                "NAME@%h",
            )
        self._is_shown = True

    def _notice_unconsumed(self, client: Redis) -> None:
        for queue, meaning in PURPOSE.items():
            if client.get(_key(LISTENING + queue)) is None:
                self._say(
                    queue,
                    f"no worker consumes {queue}: {meaning}; start one without -Q, or with -Q "
                    f"{queue}",
                )

    def _notice_misdirected(self, client: Redis) -> None:
        if self._may_say("misdirected"):
            self._said_at["misdirected"] = time.monotonic()
            try:
                found = for_us(client, settings().redis_key(""))
            except NoPermissionError:
                return  # doctor says it
            for one in found:
                _log.warning("%s; %s", *explained(one))

    def _say(self, what: str, sentence: str) -> None:
        if self._may_say(what):
            self._said_at[what] = time.monotonic()
            _log.warning("%s", sentence)

    def _may_say(self, what: str) -> bool:
        said_at = self._said_at.get(what)
        return said_at is None or time.monotonic() - said_at > _AGAIN_SECONDS


def _lasts_seconds() -> int:
    return max(_COUNTS_SECONDS, int(4 * settings().sweep_seconds))


def _key(name: str) -> str:
    return settings().redis_key(name)
