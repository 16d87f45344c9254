"""Events that no Celery would send: Flower answers, and the honest workers and tasks show."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.events.state import State

from worker.flower.events import MalformedEvent, well_formed

from .dashboards import Dashboard, caller, dashboard
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

NOW = time.time()
HOST = "honest@host"
WORKER: dict[str, Any] = {
    "hostname": HOST,
    "utcoffset": -1,
    "pid": 77,
    "clock": 5,
    "timestamp": NOW,
    "freq": 2.0,
    "active": 1,
    "processed": 3,
    "loadavg": [0.1, 0.2, 0.3],
    "sw_ident": "py-celery",
    "sw_ver": "5.7.0",
    "sw_sys": "Linux",
}
TASK: dict[str, Any] = {
    "uuid": "11111111-2222-4333-8444-555555555555",
    "hostname": HOST,
    "utcoffset": 0,
    "pid": 77,
    "clock": 6,
    "timestamp": NOW,
    "name": "earwitness.export.run",
    "args": "()",
    "kwargs": "{}",
    "retries": 0,
    "eta": None,
    "expires": None,
    "root_id": "11111111-2222-4333-8444-555555555555",
    "parent_id": None,
    "queue": "earwitness",
    "exchange": "",
    "routing_key": "earwitness",
    "runtime": 0.5,
    "result": "1",
    "exception": "ValueError()",
    "traceback": "",
    "terminated": False,
    "signum": None,
    "expired": False,
    "requeue": False,
}
WORKER_TYPES = ("worker-online", "worker-heartbeat", "worker-offline")
TASK_TYPES = (
    "sent",
    "received",
    "started",
    "succeeded",
    "failed",
    "retried",
    "revoked",
    "rejected",
)
#: Each JSON type, and the values of each that break what reads them.
VALUES: list[Any] = [
    None,
    True,
    -1,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "text",
    "\ud800",
    "\x1b[2J\u202e",
    "x" * 9_000,
    [],
    [1, "2", None],
    {},
    {"a": [{}]},
]


#: What no transport can read.
UNREADABLE = (
    *("{}", "[]", "nothing", "1", '{"body": "!", "properties": 3}', "[" * 50_000, "1" * 6_000),
    *('{"a":' * 50_000, '{"body": "\\ud800", "properties": {"delivery_tag": "\\ud800"}}'),
)


def enveloped(body: str) -> str:
    """A message whose envelope is Celery's, and whose body may be anything."""
    return json.dumps(
        {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {},
            "properties": {
                "body_encoding": "base64",
                "delivery_info": {"exchange": "celeryev", "routing_key": "worker.online"},
                "delivery_tag": "a",
            },
        }
    )


def malformed() -> Iterator[dict[str, Any]]:
    """Every field of every event with every value, and without it; and types of nobody's."""
    kinds = [(kind, WORKER) for kind in WORKER_TYPES]
    kinds += [(f"task-{kind}", TASK) for kind in TASK_TYPES]
    for kind, honest in kinds:
        event = {"type": kind, **honest}
        for name in event:
            for value in VALUES:
                yield {**event, name: value}
            yield {other: value for other, value in event.items() if other != name}
    for kind in ("", "worker-", "task-", "worker-x", "task-\u202e", "x" * 9999, "task-9"):
        yield {"type": kind, **WORKER, **TASK}


def test_what_passes_has_the_types_of_celery() -> None:
    """Whatever a field holds, what is left can be kept, sorted, counted and written as JSON."""
    state = State()
    passed = 0
    for event in malformed():
        try:
            kept, _ = well_formed(event)
        except MalformedEvent:
            continue
        kept.setdefault("clock", 1)
        state.event({**kept, "local_received": NOW})
        json.dumps(kept, allow_nan=False).encode()
        for name, value in kept.items():
            honest = {**WORKER, **TASK}.get(name)
            if honest is not None and name not in ("type", "args", "kwargs", "result"):
                number = isinstance(value, int | float) and isinstance(honest, int | float)
                assert number or type(value) is type(honest), (name, value)
        passed += 1
    assert passed > 1000
    for worker in state.workers.values():
        assert worker.alive in (True, False)
    assert sorted(state.workers) == [HOST, "text"]


@pytest.mark.parametrize("event", [None, 1, "text", [], {}, {"type": "worker-online"}, [{}]])
def test_what_is_no_event_is_refused(event: Any) -> None:
    """With a reason that quotes nothing of it."""
    with pytest.raises(MalformedEvent) as caught:
        well_formed(event)
    assert "text" not in str(caught.value)


def test_an_honest_event_stays_as_it_is() -> None:
    """Every field that Celery gives a value."""
    for event in ({"type": "worker-heartbeat", **WORKER}, {"type": "task-succeeded", **TASK}):
        given = {name: value for name, value in event.items() if value is not None}
        assert well_formed(event) == (given, [])


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Deployment:
    """A deployment with one account."""
    account = simulators.vonage.account(username="india@vbc.prod", password="correct horse")
    return deploy(account_toml("india", account.configuration(), {}))


def _sent(app: Celery, events: list[Any]) -> None:
    """Send events as they are, many in a message, as Celery's workers do."""
    with app.connection_for_write() as connection, app.events.Dispatcher(connection) as sender:
        producer, exchange = sender.producer, sender.exchange
        for event in events:
            producer.publish(
                event,
                routing_key="worker.online",
                exchange=exchange.name,
                declare=[exchange],
                serializer="json",
                retry=False,
            )


def _pages(shown: Dashboard) -> dict[str, int]:
    paths = ("/", "/workers", "/workers?json=1", "/tasks", "/api/workers", "/api/tasks")
    paths += ("/metrics", "/broker", "/api/queues/length", "/api/task/types")
    return {path: shown.client.get(path).status_code for path in paths}


def test_no_event_makes_a_page_fail(house: Deployment) -> None:
    """After thousands of events with fields of wrong types, and messages that are none, every page
    answers, the honest worker and task show, and the log counts what was left out and quotes
    nothing.
    """
    asked = str(uuid.uuid4())
    with caller(house) as app, dashboard(house) as shown:
        _sent(app, [*malformed(), None, 5, "text", [[[]]], [None, {"type": []}]])
        database = house.valkey.url.rpartition("/")[2]
        channel = f"/{database}.{app.conf.event_exchange}/worker.online"
        with house.valkey.client() as client:
            for raw in (*UNREADABLE, *map(enveloped, ("[" * 50_000, "1" * 6_000, "\\ud800"))):
                assert client.publish(channel, raw) >= 1
        honest = {"type": "task-received", **TASK, "uuid": asked, "hostname": "late@host"}

        def received() -> bool:
            _sent(app, [honest, {"type": "worker-heartbeat", **WORKER}])
            return asked in shown.tasks()

        eventually(received, what="what came afterwards was not received")
        assert set(_pages(shown).values()) == {200}
        assert asked in shown.rows()
        assert {HOST, "late@host"} == set(shown.workers()) - {"text"}
        log = shown.process.log()
        assert "an event was left out" in log
        assert log.count("an event was left out") < 5
        assert "\x1b" not in log
