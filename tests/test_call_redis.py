"""Redis breaks while a call is under way: one call, and its outcome is kept and told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .certified_calls import CallHouse, call_house
from .deployment import Deployment, Process
from .servers import Valkey
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

Deploy = Callable[..., Deployment]

#: As long as the result backend waits, and as long as it was promised.
FREEZES = [
    pytest.param(7, id="7s"),
    pytest.param(30, id="30s", marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
]


def under_way(deploy: Deploy, simulators: Simulators, seconds: float = 6.0) -> CallHouse:
    """A house whose platform answers after so many seconds: a busy machine may take some of them to
    see that a call is under way.
    """
    calling = call_house(deploy, simulators, timeout_seconds=60)
    calling.platform.configure(answer_seconds=seconds)
    return calling


def asked(calling: CallHouse) -> tuple[Any, Process]:
    """A call asked for, which the platform has counted and not yet answered."""
    worker = calling.house.worker()
    assert calling.job("r1") is None  # the ledger is open from now on
    with calling.house.producer() as app:
        result = calling.ask(app, "r1")
        eventually(lambda: calling.placed() == 1)
    calling.in_state("r1", "sending")
    return result, worker


def told(calling: CallHouse) -> Any:
    """What a caller is told who asks once more, as a lost result is asked for."""
    with calling.house.producer() as app:
        return calling.ask(app, "r1").get(timeout=LOADED_SECONDS)


def one_call(calling: CallHouse) -> None:
    """The job is done, whoever asks is told so, and the platform counted one call."""
    job = calling.in_state("r1", "done", within=60)
    assert told(calling)["job_id"] == job.job_id
    assert calling.placed() == 1


def test_connections_killed(deploy: Deploy, simulators: Simulators, valkey: Valkey) -> None:
    """Every connection to Redis is cut; the worker's log shows that it was lost."""
    calling = under_way(deploy, simulators)
    result, worker = asked(calling)
    with valkey.client() as client:
        for connection in client.client_list():
            if connection["id"] != str(client.client_id()):
                client.client_kill_filter(_id=connection["id"])
    eventually(lambda: "onnection to broker lost" in worker.log(), what="nothing was lost")
    assert result.get(timeout=60)["state"] == "done"
    one_call(calling)


@pytest.mark.parametrize("seconds", FREEZES)
def test_frozen(deploy: Deploy, simulators: Simulators, valkey: Valkey, seconds: float) -> None:
    """Redis answers nobody for a while; the call's outcome is in the ledger meanwhile."""
    calling = under_way(deploy, simulators)
    result, _ = asked(calling)
    valkey.freeze()
    try:
        calling.in_state("r1", "done")
        time.sleep(seconds)  # the fault itself lasts so long
    finally:
        valkey.thaw()
    with calling.house.producer() as app:
        assert app.AsyncResult(result.id).get(timeout=60)["state"] == "done"
    one_call(calling)


def test_restarted(deploy: Deploy, simulators: Simulators, valkey: Valkey) -> None:
    """Redis ends and comes back empty."""
    calling = under_way(deploy, simulators)
    asked(calling)
    valkey.stop()
    calling.in_state("r1", "done")
    valkey.start()
    one_call(calling)


def test_flushed(deploy: Deploy, simulators: Simulators, valkey: Valkey) -> None:
    """Everything in Redis is gone, the message that asked as well."""
    calling = under_way(deploy, simulators)
    asked(calling)
    with valkey.client() as client:
        client.flushall()
    one_call(calling)


def test_a_task_that_nobody_knows_ends_nothing(deploy: Deploy, simulators: Simulators) -> None:
    """A message for a task that does not exist is refused to its sender; the worker goes on."""
    calling = under_way(deploy, simulators, 0.0)
    calling.house.worker()
    with calling.house.producer() as app:
        unknown = app.send_task("earwitness.no.such", kwargs={}, queue="earwitness")
        with pytest.raises(Exception, match=r"earwitness\.no\.such"):
            unknown.get(timeout=LOADED_SECONDS)
        assert calling.ask(app, "r1").get(timeout=LOADED_SECONDS)["state"] == "done"


REFUSED = re.compile("broker lost|Cannot connect to redis")


def refusals(valkey: Valkey) -> Iterator[Callable[[], Any]]:
    """How Redis refuses for a while what a worker asks, one after the other, and what ends it."""
    with valkey.client() as client:
        client.replicaof("127.0.0.1", "1")
        yield lambda: client.replicaof("NO", "ONE")
        client.execute_command("ACL", "SETUSER", "default", "-brpop")
        yield lambda: client.execute_command("ACL", "SETUSER", "default", "+brpop")
        client.set("earwitness.downloads", "no list")
        yield lambda: client.delete("earwitness.downloads")


def test_what_redis_refuses_for_a_while_ends_no_worker(
    deploy: Callable[..., Deployment], simulators: Simulators, valkey: Valkey
) -> None:
    """It becomes a replica, takes a right away, holds a queue under another kind of key: the worker
    asks again until it may, and the same worker places the next call.
    """
    calling = call_house(deploy, simulators)
    worker = calling.house.worker()
    with calling.house.producer() as app:
        for number, end in enumerate(refusals(valkey)):
            seen = len(worker.log())
            eventually(lambda at=seen: REFUSED.search(worker.log()[at:]), what="nothing refused")
            end()
            assert calling.ask(app, f"r{number}").get(timeout=60)["state"] == "done"
    assert worker.alive


def test_a_redis_without_memory_loses_no_message_that_it_holds(
    deploy: Callable[..., Deployment], simulators: Simulators, valkey: Valkey
) -> None:
    """Calls wait in the queue when its memory is full, and what a worker takes in hand can not be
    noted there: each is placed all the same, by a worker that goes on.
    """
    calling = call_house(deploy, simulators)
    with calling.house.producer() as app, valkey.client() as client:
        for number in range(5):
            calling.ask(app, f"r{number}")
        messages = client.lrange("earwitness", 0, -1)
        client.delete("earwitness")
        worker = calling.house.worker()
        with client.pipeline(transaction=True) as at_once:
            at_once.lpush("earwitness", *messages).config_set("maxmemory", "1").execute()
        for number in range(5):
            calling.in_state(f"r{number}", "done")
        client.config_set("maxmemory", "0")
        assert calling.ask(app, "r5").get(timeout=LOADED_SECONDS)["state"] == "done"
    assert worker.alive
    assert calling.placed() == 6
