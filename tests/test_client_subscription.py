"""All waits of a client share one subscription: both clients, against a Redis of the test's own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from earwitness_client import AsyncEarwitness, Earwitness

from .both_clients import KINDS
from .redis_page import denied, make_users
from .servers import Valkey
from .test_redis_prefix import address
from .waiting import eventually

#: More than a client has connections.
CROWD = 80


class Crowd:
    """Many who wait for jobs of their own, by one client."""

    def __init__(self, kind: type, url: str, valkey: Valkey) -> None:
        self._kind = kind
        self._url = url
        self._valkey = valkey
        self.task_ids: list[str] = []
        self.job_ids: list[str] = []
        self.results: list[Any] = []
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def start(self) -> None:
        """Have all of them wait for jobs that are accepted and wait at the provider."""
        with self._valkey.client() as redis:
            redis.set("earwitness.listening.earwitness", "1")
        self._thread.start()
        eventually(lambda: len(self.task_ids) == CROWD, what="not all are sent")

    def store(self, state: str, *, publish: bool = True) -> None:
        """Store a state of every job, as a worker does."""
        with self._valkey.client() as redis, redis.pipeline() as pipe:
            for number, task_id in enumerate(self.task_ids):
                stored = {"status": state, "task_id": task_id, "result": number}
                stored["earwitness"] = {"job_id": self.job_ids[number]}
                key, value = f"celery-task-meta-{task_id}", json.dumps(stored)
                pipe.set(key, value)
                if publish:
                    pipe.publish(key, value)
            pipe.execute()

    def ended(self) -> list[Any]:
        """What all of them got in the end."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.results

    def _wait(self) -> None:
        given = [{"account": "india", "recording_id": str(number)} for number in range(CROWD)]
        if self._kind is AsyncEarwitness:
            self.results = asyncio.run(self._asynchronously(given))
            return
        with Earwitness(self._url) as client:
            jobs = client.send_many(client.recording.download, given)
            self.job_ids = [job.id for job in jobs]
            self.task_ids = [job.task_id for job in jobs]
            found: dict[int, Any] = {}

            def wait(number: int) -> None:
                found[number] = jobs[number].wait(60)

            threads = [threading.Thread(target=wait, args=(number,)) for number in range(CROWD)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            self.results = [found[number] for number in range(CROWD)]

    async def _asynchronously(self, given: list[dict[str, Any]]) -> list[Any]:
        async with AsyncEarwitness(self._url) as client:
            jobs = await client.send_many(client.recording.download, given)
            self.job_ids = [job.id for job in jobs]
            self.task_ids = [job.task_id for job in jobs]
            return await asyncio.gather(*(job.wait(60) for job in jobs))


@contextmanager
def waiting(kind: type, valkey: Valkey, url: str | None = None) -> Iterator[Crowd]:
    """A crowd that waits, on a Redis where a worker listens."""
    crowd = Crowd(kind, url or valkey.url, valkey)
    crowd.start()
    crowd.store("RETRY")
    yield crowd


def _listened_for(valkey: Valkey, crowd: Crowd) -> int:
    """How many of the crowd's results are listened for; questions to the worker are not counted."""
    wanted = {f"celery-task-meta-{task_id}" for task_id in crowd.task_ids}
    with valkey.client() as redis:
        return len(wanted & {str(one, "ascii") for one in redis.pubsub_channels()})


def _subscribers(valkey: Valkey) -> int:
    with valkey.client() as redis:
        return len(redis.client_list(_type="pubsub"))


def _reads(valkey: Valkey) -> int:
    with valkey.client() as redis:
        return int(redis.info("commandstats")["cmdstat_get"]["calls"])


def _is_quiet(valkey: Valkey) -> bool:
    """Whether nobody reads for longer than the pauses of a wait without subscription."""
    before = _reads(valkey)
    threading.Event().wait(1.3)
    return _reads(valkey) == before


@KINDS
def test_one_connection_for_all_waits(kind: type, valkey: Valkey) -> None:
    """A channel for each job on one connection, and no reading while nothing is published; when all
    are over, no channel is left and the connection is gone.
    """
    with waiting(kind, valkey) as crowd:
        eventually(lambda: _listened_for(valkey, crowd) == CROWD, what="not all listen")
        eventually(lambda: _is_quiet(valkey), what="the states are read again and again")
        assert _subscribers(valkey) == 1
        crowd.store("SUCCESS")
        assert crowd.ended() == list(range(CROWD))
    eventually(lambda: _subscribers(valkey) == 0, what="the subscription stays")
    assert _listened_for(valkey, crowd) == 0


@KINDS
def test_redis_fails_while_they_wait(kind: type, valkey: Valkey) -> None:
    """Emptied: the worker is asked for the jobs. Restarted: all listen again on one connection, and
    what was stored before they did is read.
    """
    with waiting(kind, valkey) as crowd:
        eventually(lambda: _listened_for(valkey, crowd) == CROWD, what="not all listen")
        with valkey.client() as redis:
            redis.flushall()
            redis.set("earwitness.listening.earwitness", "1")
            eventually(lambda: redis.llen("earwitness") > 0, what="the worker is not asked")
        valkey.stop()
        valkey.start()
        with valkey.client() as redis:
            redis.set("earwitness.listening.earwitness", "1")
        crowd.store("RETRY", publish=False)
        eventually(lambda: _listened_for(valkey, crowd) == CROWD, what="not all listen again")
        assert _subscribers(valkey) == 1
        crowd.store("SUCCESS", publish=False)
        assert crowd.ended() == list(range(CROWD))


@KINDS
def test_a_producer_listens(kind: type, valkey: Valkey) -> None:
    """The user of docs/redis.md may; Valkey refuses nothing."""
    make_users(valkey)
    with waiting(kind, valkey, address(valkey, "producer")) as crowd:
        eventually(lambda: _listened_for(valkey, crowd) == CROWD, what="not all listen")
        crowd.store("SUCCESS")
        assert crowd.ended() == list(range(CROWD))
    assert denied(valkey) == set()


@KINDS
def test_a_user_who_may_not_listen(kind: type, valkey: Valkey) -> None:
    """With the rights that earlier versions asked for, all get their results, by reading alone."""
    make_users(valkey)
    with valkey.client() as redis:
        redis.execute_command("ACL", "SETUSER", "producer", "-subscribe", "resetchannels")
    with waiting(kind, valkey, address(valkey, "producer")) as crowd:
        eventually(lambda: denied(valkey), what="nobody tried to listen")
        crowd.store("SUCCESS")
        assert crowd.ended() == list(range(CROWD))
        assert len(denied(valkey)) == 1
