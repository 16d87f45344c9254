"""Redis behind three sentinels: a failover loses no accepted job, and no call is placed twice."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from celery import Celery

from earwitness_client import AsyncEarwitness, Earwitness
from earwitness_client.answers import Job
from earwitness_client.errors import NotSent

from .certified_calls import ASKED, CallHouse, call_house
from .deployment import deploying
from .sentinels import MASTER, PASSWORD, SENTINEL_PASSWORD, Sentinelled
from .servers import Valkey, free_port
from .simulators import Simulators
from .waiting import eventually, in_time

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

#: A call's own words, without those of other callers.
CALL: dict[str, Any] = dict(ASKED)


@pytest.fixture
def redis() -> Iterator[Sentinelled]:
    """A master, a replica and three sentinels."""
    with Sentinelled() as running:
        yield running


@pytest.fixture
def calling(tmp_path: Path, redis: Sentinelled, simulators: Simulators) -> Iterator[CallHouse]:
    """A house that places calls, and that knows Redis by its sentinels alone."""
    with deploying(tmp_path, cast("Valkey", redis)) as deploy:
        yield call_house(deploy, simulators, max_calls_per_day=10_000)


class Orders(threading.Thread):
    """A producer: a call every 100 ms. It sends what was not sent again, under the same id, and
    waits for all of them at once.
    """

    def __init__(self, client: Earwitness) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._over = threading.Event()
        self.jobs: list[Job[Any]] = []
        self.errors: list[NotSent] = []
        self.longest = 0.0
        self.start()

    def run(self) -> None:
        """Ask until the end."""
        while not self._over.wait(0.1):
            self._ask(f"order-{len(self.jobs)}")

    def end(self) -> None:
        """Ask for no more."""
        self._over.set()
        self.join(60)

    def _ask(self, request_id: str) -> None:
        began = time.monotonic()
        while True:
            try:
                self.jobs.append(self._client.certified_call.request(**CALL, request_id=request_id))
                break
            except NotSent as error:
                self.errors.append(error)
                time.sleep(0.1)
        self.longest = max(self.longest, time.monotonic() - began)


@contextmanager
def orders(redis: Sentinelled) -> Iterator[Orders]:
    """A producer at work."""
    with Earwitness(redis.url) as client:
        made = Orders(client)
        try:
            yield made
        finally:
            made.end()


def celery_caller(redis: Sentinelled) -> Celery:
    """An application of Celery alone, by docs/redis.md."""
    app = Celery("caller", broker=redis.celery_urls, backend=redis.celery_urls)
    options = {"master_name": MASTER, "sentinel_kwargs": {"password": SENTINEL_PASSWORD}}
    app.conf.broker_transport_options = options
    app.conf.result_backend_transport_options = options
    return app


def all_answered(calling: CallHouse, asked: Orders) -> None:
    """Every call has its result, in its producer's hands, and was placed once."""
    with ThreadPoolExecutor(40) as threads:
        states = threads.map(lambda job: job.wait(120)["state"], asked.jobs)
        assert set(states) == {"done"}
    assert len(asked.jobs) == calling.placed()
    assert calling.house.ledger.jobs.counts() == {"done": len(asked.jobs)}


async def asked_while_waiting(redis: Sentinelled, fault: Any) -> list[str]:
    """Wait for calls on an event loop while the master is replaced."""
    async with AsyncEarwitness(redis.url) as client:
        before = [
            await client.certified_call.request(**CALL, request_id=f"loop-{number}")
            for number in range(3)
        ]
        waiting = [asyncio.create_task(job.wait(120)) for job in before]
        await asyncio.to_thread(fault)
        after = None
        while after is None:
            try:
                after = await client.certified_call.request(**CALL, request_id="loop-3")
            except NotSent:
                await asyncio.sleep(0.2)
        return [one["state"] for one in await asyncio.gather(*waiting, after.wait(120))]


def test_calls_through_a_killed_master_and_a_failover(
    calling: CallHouse, redis: Sentinelled
) -> None:
    """A call every 100 ms while the master is killed, and while the sentinels make the other the
    master again: each is placed once, each producer gets its result, by the same worker.
    """
    worker = calling.house.worker()
    with orders(redis) as asked:
        eventually(lambda: len(asked.jobs) > 20)
        killed = redis.master()
        killed.kill()
        eventually(lambda: redis.master() is not killed, within=60, what="no new master")
        seen = calling.placed()
        with in_time(20):
            eventually(lambda: calling.placed() > seen + 20, within=60, what="no call went on")
        killed.start("--replicaof", "127.0.0.1", str(redis.master().port))
        redis.until_replicated()
        redis.fail_over()
        eventually(lambda: demoted(redis), within=60, what="the former master is still one")
        seen = calling.placed()
        with in_time(20):
            eventually(lambda: calling.placed() > seen + 20, within=60, what="no call went on")
        asked.end()
        all_answered(calling, asked)
    assert asked.errors, "no failover was noticed"
    assert worker.alive
    for secret in (PASSWORD, "s3rver%2Fw", SENTINEL_PASSWORD):
        assert secret not in worker.log()
    assert calling.house.run("health", "worker").returncode == 0


def demoted(redis: Sentinelled) -> bool:
    """Whether one of the two servers is a replica that follows the other."""
    roles = []
    for server in redis.servers:
        with server.client() as client:
            roles.append(client.info("replication")["role"])
    return sorted(roles) == ["master", "slave"]


def test_waits_on_an_event_loop_go_on(calling: CallHouse, redis: Sentinelled) -> None:
    """Jobs that an asyncio client waits for end there, and it sends the next one to the new master;
    so does an application of Celery alone.
    """
    calling.platform.configure(answer_seconds=2)

    def kill_the_master() -> None:
        calling.house.worker()
        eventually(lambda: calling.placed() > 0)
        killed = redis.master()
        killed.kill()
        eventually(lambda: redis.master() is not killed, within=60, what="no new master")

    states = asyncio.run(asked_while_waiting(redis, kill_the_master))
    assert states == ["done"] * 4
    with celery_caller(redis) as app:
        assert calling.ask(app, "celery").get(timeout=60)["state"] == "done"
    assert calling.placed() == 5


def test_doctor_names_the_master_and_missing_sentinels(
    calling: CallHouse, redis: Sentinelled
) -> None:
    """Which master it talks to, that replication is asynchronous; then that two sentinels are gone,
    that a name is wrong, and that the sentinels' password is.
    """
    calling.house.worker()
    said = calling.house.run("doctor").stdout
    assert f"127.0.0.1:{redis.master().port} is the master of {MASTER}; 3 of 3" in said
    assert "replication is asynchronous" in said
    assert "earwitness is consumed by worker@" in said
    for sentinel in redis.sentinels[:2]:
        sentinel.kill()
    said = calling.house.run("doctor").stdout
    assert "1 of 3 sentinels answers, and a failover needs 2 (quorum 2, a majority of 3)" in said
    calling.house.settings["REDIS_URL"] = redis.url.replace(f"={MASTER}", "=other")
    assert "knows no master called other" in calling.house.run("doctor").stdout
    calling.house.settings["REDIS_URL"] = redis.url.replace("s3ntinel", "wrong")
    said = calling.house.run("doctor").stdout
    assert "its sentinels refuse user or password" in said
    assert "wrong" not in said


def test_flower_reads_the_queues_and_learns_no_password(
    calling: CallHouse, redis: Sentinelled
) -> None:
    """Its broker page shows their lengths, also with one sentinel gone; what workers tell it of
    their connection names no password.
    """
    port = free_port()
    calling.house.worker()
    calling.house.celery("flower", f"--port={port}", name="flower")
    with celery_caller(redis) as app:
        told = app.control.inspect(timeout=10, limit=1)
        answers = repr((told.stats(), told.conf()))
    assert MASTER in answers
    redis.sentinels[0].kill()
    page = eventually(lambda: page_of(port, "/broker"), within=60, what="no broker page")
    worker = page_of(port, f"/worker/worker@{socket.gethostname()}")
    for secret in (PASSWORD, "s3rver%2Fw", SENTINEL_PASSWORD, "s3ntinel%2Bw"):
        assert secret not in answers + page + worker


def page_of(port: int, path: str) -> str:
    """One of Flower's pages, empty while it shows no queue and no worker of ours."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            text: str = answer.read().decode()
    except OSError:
        return ""
    return text if "earwitness.due" in text else ""
