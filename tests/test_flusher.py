"""What waits for a few milliseconds is written once for all, and never lost without a word."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.app.events import Events
from kombu import Connection, Consumer, Queue
from redis.exceptions import ReadOnlyError
from sqlalchemy import func, select

from ledger.core.schema import waiters
from tasks.runtime import metrics
from tasks.runtime.flusher import Flusher
from tasks.runtime.redis_errors import BROKER_AWAY
from worker.redis.broker import CheckedChannel, install_channel
from worker.redis.events import Dispatcher

from .callers import close_connections
from .certified_calls import call_house
from .deployment import Deployment, account_toml
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)


def failures(name: str) -> float:
    """How many writes under this name have failed."""
    return float(metrics.flushes_failed.labels(name)._value.get())


def test_many_who_ask_get_one_write() -> None:
    """A write is carried out once for all who asked before it, and again for who asks later."""
    flusher, written, may_write = Flusher(), [], threading.Event()

    def write() -> None:
        may_write.wait()
        written.append(threading.current_thread().name)

    for _ in range(100):
        flusher.ask("test", write)
    may_write.set()
    eventually(lambda: written, what="nothing was written")
    assert len(written) <= 2
    before = len(written)
    flusher.ask("test", write)
    eventually(lambda: len(written) > before, what="the later one was not written")
    assert set(written) == {"earwitness-flusher"}


def test_a_failing_write_is_tried_again_and_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged once for each cause, counted each time, and its end is logged."""
    caplog.set_level(logging.INFO)
    flusher, errors, others = Flusher(), [OSError("a"), OSError("b"), ValueError("c")], []
    before = failures("test_a")

    def fails() -> None:
        if errors:
            raise errors.pop(0)

    for left in (2, 1, 0):
        flusher_ask_without_thread(flusher, "test_a", fails)
        flusher_ask_without_thread(flusher, "test_b", lambda: others.append(1))
        assert not flusher.flush()
        assert len(errors) == left
    assert flusher.flush(), "a write that failed was not asked for any more"
    assert len(others) == 3
    assert failures("test_a") - before == 3
    lines = [one.getMessage() for one in caplog.records if "test_a" in one.getMessage()]
    assert [line.split(":")[1].strip() for line in lines[:-1]] == ["OSError", "ValueError"]
    assert lines[-1] == "test_a are being written again"


def flusher_ask_without_thread(flusher: Flusher, name: str, write: Callable[[], Any]) -> None:
    """Ask a flusher whose thread is the test itself."""
    flusher._thread = threading.current_thread()
    flusher.ask(name, write)


@pytest.fixture
def channel(valkey: Valkey) -> Iterator[CheckedChannel]:
    """A worker's channel with one message in hand."""
    install_channel()
    with Connection(valkey.url) as connection:
        connection.Producer().publish({}, routing_key="earwitness", serializer="json")
        taken: list[Any] = []
        queue = Queue("earwitness", routing_key="earwitness")
        with Consumer(connection, queue, callbacks=[lambda _, message: taken.append(message)]):
            while not taken:
                connection.drain_events(timeout=60)
            yield taken[0].channel


def test_acknowledgements_wait_while_redis_takes_no_writes(
    channel: CheckedChannel, valkey: Valkey
) -> None:
    """There is room for another message at once, and Redis forgets the message once it can."""
    (tag,) = channel.qos._delivered
    with valkey.client() as admin:
        assert admin.hlen("unacked") == 1
        admin.replicaof("127.0.0.1", "1")
        channel.qos.ack(tag)
        assert not channel.qos._delivered.keys() - channel.qos._dirty
        with pytest.raises(ReadOnlyError):
            channel.qos.flush()
        admin.replicaof("NO", "ONE")
        eventually(lambda: not admin.exists("unacked", "unacked_index"), what="it stays in hand")


@pytest.fixture
def app(valkey: Valkey) -> Iterator[Celery]:
    """An application with our dispatcher of events."""
    made = Celery(broker=valkey.url, set_as_current=False)
    made.events = Events(made)
    made.events.dispatcher_cls = Dispatcher
    yield made
    close_connections(made)


def test_events_wait_while_redis_is_away_and_come_in_order(app: Celery, valkey: Valkey) -> None:
    """A hundred events come in one message. What could not be sent comes later, before what came
    after it, and what still waits when the connection is given up goes to the next one.
    """
    many = [str(number) for number in range(100)]
    with app.connection_for_write() as connection, app.connection_for_write() as later:
        sender = app.events.Dispatcher(connection, buffer_group=["task"])
        for number in many:
            sender.send("task-started", uuid=number)
        assert received(valkey, sender.write) == [many]
        valkey.stop()
        sender.send("task-started", uuid="a")
        with pytest.raises(BROKER_AWAY):
            sender.write()
        sender.send("task-started", uuid="b")
        sender.disable()
        valkey.start()
        successor = app.events.Dispatcher(later, buffer_group=["task"])
        successor.extend_buffer(sender)
        assert received(valkey, successor.write) == [["a"], ["b"]]
        assert received(valkey, successor.write) == []


def received(valkey: Valkey, write: Callable[[], None]) -> list[list[str]]:
    """The uuids of the events in each message that is sent meanwhile."""
    found = []
    with valkey.client() as client, client.pubsub() as listener:
        listener.psubscribe("/0.celeryev/*")
        assert listener.get_message(timeout=60)
        write()
        client.publish("/0.celeryev/end", "end")
        while (message := listener.get_message(timeout=60))["data"] != b"end":  # type: ignore[index]
            body = base64.b64decode(json.loads(message["data"])["body"])
            found.append([one["uuid"] for one in json.loads(body)])
    return found


def test_a_worker_that_ends_writes_what_waits(
    deploy: Callable[..., Deployment], simulators: Simulators, valkey: Valkey
) -> None:
    """SIGTERM during calls: they end, and neither Redis nor the ledger has anything left to do for
    them when the process is gone.
    """
    calling = call_house(deploy, simulators)
    calling.platform.configure(answer_seconds=1)
    worker = calling.house.worker()
    with calling.house.producer() as app, valkey.client() as admin:
        asked = [calling.ask(app, f"r{number}") for number in range(5)]
        eventually(lambda: calling.placed() == 5, what="the calls were not placed")
        assert worker.stop() == 0
        assert {one.get(timeout=60)["state"] for one in asked} == {"done"}
        assert not admin.exists("earwitness.unacked", "earwitness.unacked_index", "earwitness")
    left = select(func.count()).where(waiters.c.answered_at.is_(None))
    with calling.house.ledger.database.engine.connect() as connection:
        assert connection.execute(left).scalar_one() == 0


def test_the_events_of_a_task_come_in_their_order(
    deploy: Callable[..., Deployment], simulators: Simulators, valkey: Valkey
) -> None:
    """Tasks that begin and wait within milliseconds are last seen waiting."""
    account = simulators.vonage.account()
    account.configure(ready_after_polls=10_000)
    house = deploy(
        account_toml("india", account.configuration()),
        settings={"POLL_FIRST_SECONDS": "600", "POLL_MAX_SECONDS": "900"},
    )
    with (
        house.producer() as app,
        valkey.client() as client,
        client.pubsub(ignore_subscribe_messages=True) as listener,
    ):
        listener.psubscribe("/0.celeryev/*")
        house.worker()
        for number in range(10):
            day = DAY - timedelta(days=number)
            account.seed(day, "Asia/Kolkata", 1)
            house.send(app, "export.run", account="india", day=day.isoformat())
        kinds: dict[str, list[str]] = {}

        def all_wait() -> bool:
            for one in events_of(listener.get_message(timeout=1)):
                kinds.setdefault(one["uuid"], []).append(one["type"].removeprefix("task-"))
            return len(kinds) == 20 and all(seen[-1] == "retried" for seen in kinds.values())

        eventually(all_wait, within=60, what="the runs and their parts do not wait")
    for seen in kinds.values():
        attempts = " ".join(seen).split("received ")[1:]
        assert set(attempts) <= {"started retried", "started retried "}, kinds


def events_of(message: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The events of tasks in a message of Celery's."""
    if message is None:
        return []
    body = json.loads(base64.b64decode(json.loads(message["data"])["body"]))
    events = body if isinstance(body, list) else [body]
    return [one for one in events if one["type"].startswith("task-")]
