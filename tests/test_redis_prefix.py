"""Several deployments on one Redis database, each under a prefix; and Redis' clock, not hosts'."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest
import time_machine
from celery import Celery
from kombu import Connection, Consumer, Queue

from earwitness_client import Earwitness, InvalidArgument
from worker.redis.broker import install_channel

from . import callers
from .deployment import Deployment, account_toml
from .redis_page import PASSWORD, denied, make_users
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
PREFIXES = ("a:", "b:")


def address(valkey: Valkey, user: str) -> str:
    """Redis' address for one of the page's users."""
    return f"redis://{user}:{quote(PASSWORD, safe='')}@127.0.0.1:{valkey.port}/0"


def caller(url: str, prefix: str) -> AbstractContextManager[Celery]:
    """A caller's application, told of the prefix as docs/redis.md says."""
    return callers.caller(url, url, transport={"global_keyprefix": prefix})


@pytest.fixture
def pair(
    valkey: Valkey, simulators: Simulators, tmp_path: Path
) -> Iterator[dict[str, tuple[Deployment, Any]]]:
    """Two deployments, each with its ledger, archive and account, on one database."""
    with ExitStack() as stack:
        made = {}
        for prefix in PREFIXES:
            account = simulators.vonage.account()
            account.seed(DAY, "Asia/Kolkata", 2)
            account.configure(ready_after_polls=0)
            folder = tmp_path / prefix.rstrip(":")
            folder.mkdir()
            toml = account_toml("india", account.configuration(), {"catchup_days": 1})
            told = {"REDIS_KEY_PREFIX": prefix, "REDIS_URL": address(valkey, "earwitness")}
            house = Deployment(folder, valkey, toml, settings=told)
            stack.callback(house.close)
            made[prefix] = (house, account)
        yield made


def test_two_deployments_on_one_database_do_not_meet(
    pair: dict[str, tuple[Deployment, Any]], valkey: Valkey
) -> None:
    """Messages, results, control messages, events and the ledger's mark are each deployment's own:
    each task goes to its own worker, each worker is alone, and Redis holds no key and no channel
    without a prefix. The page's rules, prefixed, let the first do nothing to the second.
    """
    # Of both, the rights of "a:" alone: "b:" has the whole database.
    make_users(valkey, "a:")
    pair["b:"][0].settings["REDIS_URL"] = valkey.url
    workers = {prefix: house.worker(mingle=True) for prefix, (house, _) in pair.items()}
    results = {}
    for prefix, (house, _) in pair.items():
        url = address(valkey, "celery-producer") if prefix == "a:" else valkey.url
        with caller(url, prefix) as app:
            run = house.send(app, "export.run", account="india", day=DAY.isoformat())
            results[prefix] = run.get(timeout=60)
        url = address(valkey, "producer") if prefix == "a:" else valkey.url
        with Earwitness(url, key_prefix=prefix) as client:
            answer = client.job.status(job_id=results[prefix]["job_id"])
            assert answer.wait(30)["state"] == "done"
    with caller(valkey.url, "b:") as app:
        # Of two workers that could answer, one is too many: both are waited for.
        queues = eventually(lambda: app.control.inspect(timeout=5).active_queues())
        assert len(queues) == 1
        assert app.AsyncResult(run.id).state == "SUCCESS"
    with caller(valkey.url, "a:") as app:
        assert app.AsyncResult(run.id).state == "PENDING"
    with valkey.client() as admin:
        keys = {key.decode() for key in admin.scan_iter()}
        channels = {channel.decode() for channel in admin.pubsub_channels()}
        assert {admin.get(f"{prefix}earwitness.ledger").decode() for prefix in PREFIXES} == {
            house.ledger.identity.identity() for house, _ in pair.values()
        }
    assert {name[:2] for name in keys | channels} == set(PREFIXES)
    for prefix, (house, _) in pair.items():
        log = workers[prefix].log()
        assert "all alone" in log
        assert len(house.ledger.jobs.jobs(kind="export.run")) == 1
        found = house.run("doctor").stdout
        assert "error   redis" not in found
        assert found.count("is consumed by worker@") == 3
    for worker in workers.values():
        assert worker.stop() == 0
    assert denied(valkey) == set()


def test_a_client_is_told_of_a_prefix_that_no_worker_takes() -> None:
    """Celery would change such a prefix for results alone, so it is refused by both."""
    with pytest.raises(InvalidArgument, match="key_prefix"):
        Earwitness("redis://127.0.0.1:6379/0", key_prefix="earwitness")


@pytest.mark.parametrize("prefix", ["", "a:"])
def test_a_message_in_hand_is_judged_by_redis_clock(valkey: Valkey, prefix: str) -> None:
    """A host whose clock is two minutes ahead leaves what others have in hand alone, one whose
    clock is behind brings back what a dead one held; all of it as the page's worker, prefixed.
    """
    make_users(valkey, prefix)
    install_channel()
    url = address(valkey, "earwitness")
    with Host(url, prefix) as holder:
        holder.publish("held")
        with time_machine.travel(time.time() - 120, tick=True):
            holder.take()
        with Host(url, prefix) as other:
            with time_machine.travel(time.time() + 120, tick=True):
                other.put_back()
            assert other.waiting() == 0, "a message in hand was given away"
            holder.forget()
            other.patience_seconds(0)
            with time_machine.travel(time.time() - 120, tick=True):
                eventually(other.put_back, what="the message of a dead host stayed lost")
            assert other.take() == "held"
            other.acknowledge()
    with valkey.client() as admin:
        assert not [key for key in admin.scan_iter() if b"unacked" in key]
    assert denied(valkey) == set()


class Host:
    """A consumer with one message in hand, as a worker of ours takes it."""

    def __init__(self, url: str, prefix: str) -> None:
        options = {
            "global_keyprefix": prefix,
            "visibility_timeout": 30,
            "unacked_key": "earwitness.unacked",
            "unacked_index_key": "earwitness.unacked_index",
            "unacked_mutex_key": "earwitness.unacked_mutex",
        }
        self._connection = Connection(url, transport_options=options)
        self._queue = Queue("earwitness", routing_key="earwitness")
        self._taken: Any = None

    def __enter__(self) -> Self:
        self._channel = self._connection.default_channel
        self._queue(self._channel).declare()
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.release()

    def publish(self, body: str) -> None:
        with self._connection.Producer() as producer:
            producer.publish(body, routing_key="earwitness", retry=False)

    def take(self) -> Any:
        with Consumer(self._channel, [self._queue], on_message=self._hold, prefetch_count=1):
            self._connection.drain_events(timeout=60)
        return self._taken.payload

    def _hold(self, message: Any) -> None:
        self._taken = message

    def acknowledge(self) -> None:
        self._taken.ack()

    def forget(self) -> None:
        """As a process that was killed: nothing is put back at its end."""
        self._channel.qos._delivered.clear()
        self._channel.do_restore = False

    def patience_seconds(self, seconds: float) -> None:
        self._channel.visibility_timeout = seconds

    def put_back(self) -> bool:
        """What a worker does every five seconds; whether a message waits afterwards."""
        with Consumer(self._channel, [self._queue], on_message=self._hold):
            self._channel.qos.restore_visible(interval=1)
        return self.waiting() > 0

    def waiting(self) -> int:
        return int(self._channel._size("earwitness"))
