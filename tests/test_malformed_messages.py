"""A message that cannot be understood ends no worker: it is set aside, counted and told of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from .certified_calls import CallHouse, call_house
from .deployment import Deployment, Process
from .malformed import NAME, VALUES, every_type, hostile, message
from .metrics_night import Shown
from .servers import Valkey, free_port
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

#: More are not kept.
MOST_KEPT = 200
CONTROL, EVENTS = "/0.celery.pidbox", "/0.celeryev/worker.heartbeat"
COMMANDS = {
    "add_consumer": ("queue", "exchange", "exchange_type", "routing_key", "durable"),
    "cancel_consumer": ("queue",),
    "pool_grow": ("n",),
    "pool_shrink": ("n",),
    "autoscale": ("max", "min"),
    "rate_limit": ("task_name", "rate_limit"),
    "time_limit": ("task_name", "hard", "soft"),
    "revoke": ("task_id", "terminate", "signal"),
    "revoke_by_stamped_headers": ("headers", "terminate"),
    "terminate": ("signal", "task_id"),
    "election": ("id", "topic", "action"),
    "hello": ("from_node", "revoked"),
    "query_task": ("ids",),
    "conf": ("with_defaults",),
    "objgraph": ("num", "max_depth", "type"),
    "no_such_command": ("a",),
}


@pytest.fixture
def calling(deploy: Deploy, simulators: Simulators) -> CallHouse:
    """A house that places certified calls; no worker runs yet."""
    return call_house(deploy, simulators)


def after(calling: CallHouse, worker: Process, redis: Any) -> None:
    """Nothing stays in a queue or in hand; the same worker places the next call, once; and its log
    names nobody.
    """

    def all_taken() -> bool:
        return redis.llen("earwitness") == 0 and redis.hlen("earwitness.unacked") == 0

    eventually(all_taken, within=90, what="one stayed in the queue or in hand")
    with calling.house.producer() as app:
        assert calling.ask(app, "honest").get(timeout=60)["state"] == "done"
    assert worker.alive
    assert calling.placed() == 1
    assert NAME not in worker.log()


@pytest.mark.parametrize("sent", [every_type, hostile])
def test_every_message_that_is_wrong_is_set_aside_once(
    calling: CallHouse, valkey: Valkey, sent: Callable[[], Iterable[str | bytes]]
) -> None:
    """Each field of envelope, properties, headers and body with each wrong type; and what is too
    deep, too long or half: all are set aside, no more than 200 are kept, none of the calls is
    placed, and the same worker places the next one.
    """
    texts = list(sent())
    worker = calling.house.worker()
    with valkey.client() as redis:
        for text in texts:
            redis.lpush("earwitness", text)
        after(calling, worker, redis)
        assert worker.log().count("is set aside") == len(texts)
        kept = redis.hlen("earwitness.set_aside")
        assert kept == redis.zcard("earwitness.set_aside_index") == min(len(texts), MOST_KEPT)
        assert 0 < redis.ttl("earwitness.set_aside") <= 7 * 86_400
        held = sum(len(one) for one in redis.hvals("earwitness.set_aside"))
        assert held <= MOST_KEPT * 50_000


def counted(bind: str) -> float | None:
    """How many messages in the queue `earwitness` the worker says that it set aside."""
    shown = httpx.get(f"http://{bind}/metrics", trust_env=False, timeout=10)
    return Shown(shown.text).value("messages_set_aside_total", queue="earwitness")


def test_people_are_told_of_it_and_end_it(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """A message that is set aside is counted, opens an alert, and is named by doctor and the
    command, all without its content. Removed, the alert is over; a later one opens it again.
    """
    bind = f"127.0.0.1:{free_port()}"
    calling = call_house(deploy, simulators, settings={"METRICS_BIND": bind})
    house = calling.house
    house.worker()
    assert house.run("messages").stdout == "no message is set aside\n"
    with valkey.client() as redis:
        for reopened in (False, True):
            redis.lpush("earwitness", json.dumps(message(timelimit=[1])))
            (alert,) = eventually(house.ledger.alerts.all_open, what="no alert was opened")
            assert alert["kind"] == "message"
            assert "its header timelimit" in alert["message"]
            assert counted(bind) == 1 + reopened
            told = house.run("doctor").stdout + house.run("alerts").stdout
            assert told.count("its header timelimit") == 2
            shown = house.run("messages")
            assert shown.returncode == 1
            assert NAME not in told + shown.stdout + alert["message"]
            assert house.run("messages", "--remove", "all").stdout == "removed: 1\n"
            eventually(lambda: not house.ledger.alerts.all_open(), what="it is not over")
    assert house.run("messages", "--remove", "x").returncode == 1


def test_what_is_told_to_all_workers_ends_none(calling: CallHouse, valkey: Valkey) -> None:
    """Commands of remote control and events that make no sense, and what is neither: the worker
    drops them, places the next call, still answers, and a second one that asks it at its start
    becomes ready.
    """
    worker = calling.house.worker()
    with valkey.client() as redis:
        for text in _broadcasts():
            for channel in (CONTROL, EVENTS):
                redis.publish(channel, text)
        after(calling, worker, redis)
    with calling.house.producer() as app:
        queues = eventually(
            lambda: app.control.inspect(timeout=10, limit=1).active_queues(),
            what="it answers no more",
        )
    (names,) = [{queue["name"] for queue in one} for one in queues.values()]
    assert {"earwitness", "earwitness.due", "earwitness.downloads"} <= names
    calling.house.worker("second")


def _broadcasts() -> Iterable[str | bytes]:
    yield from every_type()
    yield from hostile()
    for value in VALUES:
        yield json.dumps(message(value))
        yield json.dumps(message({"method": value}))
        yield json.dumps(message({"method": "ping", "arguments": value}))
        for field in ("destination", "pattern", "matcher", "reply_to", "ticket"):
            yield json.dumps(message({"method": "ping", field: value}))
        for command, names in COMMANDS.items():
            for name in names:
                asked = dict.fromkeys(names, "earwitness.x") | {name: value}
                yield json.dumps(message({"method": command, "arguments": asked}))
        for field in ("hostname", "type", "timestamp", "clock", "pid", "utcoffset"):
            made = {"hostname": "x", "type": "worker-heartbeat", "timestamp": 1, "clock": 1}
            yield json.dumps(message({**made, field: value}))
            yield json.dumps(message(made, hostname=value, clock=value))
