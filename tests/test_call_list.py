"""The list of calls that are going on, through a real worker: VoipNow's and Ozeki's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from . import shared_simulators
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .simulators.ozeki_door import PbxDoor
from .simulators.voipnow_door import AppDoor
from .waiting import eventually

simulators = shared_simulators.simulators

FIELDS = {"call_id", "state", "source", "destination", "caller", "started_at", "views"}


@pytest.fixture(scope="module")
def house(simulators: Simulators, deploy_for_module: Callable[..., Deployment]) -> Deployment:
    """A worker with an account at each provider of live calls, and one elsewhere."""
    sections = {
        "pbx": simulators.voipnow.account("app").configuration(),
        "office": simulators.ozeki.account("office").configuration(),
        "legal": simulators.gsmblockchain.account().configuration(),
    }
    toml = [account_toml(alias, told) for alias, told in sections.items()]
    made = deploy_for_module("\n".join(toml))
    made.worker(loglevel="DEBUG")
    return made


@pytest.fixture
def app(simulators: Simulators) -> Iterator[AppDoor]:
    """The App of account pbx, without calls and faults."""
    door = simulators.voipnow.account("app")
    yield door
    simulators.voipnow.clear_faults()
    for call in door.calls():
        door.end_call(call["id"])


@pytest.fixture
def office(simulators: Simulators) -> PbxDoor:
    """The server of account office."""
    return simulators.ozeki.account("office")


@pytest.fixture
def caller(house: Deployment) -> Iterator[Celery]:
    """Another application, which enqueues."""
    with house.producer() as producer:
        yield producer


def _calls(house: Deployment, caller: Celery, account: str, **given: Any) -> list[dict[str, Any]]:
    answer = house.send(caller, "call.list", account=account, **given).get(timeout=60)
    assert answer.keys() == {"calls"}
    return list(answer["calls"])


def test_the_calls_of_a_voipnow_account(house: Deployment, caller: Celery, app: AppDoor) -> None:
    """Every call with its views, all or those of one extension; none is an empty list."""
    assert _calls(house, caller, "pbx") == []
    call = app.begin_call(other="0003*211")
    other = app.begin_call(extension="0003*212", incoming=False, status=3)
    found = {one["call_id"]: one for one in _calls(house, caller, "pbx")}
    assert found.keys() == {call["id"], other["id"]}
    assert all(one.keys() >= FIELDS for one in found.values())
    assert [found[name]["state"] for name in (call["id"], other["id"])] == ["on_call", "ringing"]
    assert {view["view_id"] for view in found[call["id"]]["views"]} == {"00", "01"}
    (alone,) = _calls(house, caller, "pbx", extension="0003*212", user_id="@me")
    assert alone["call_id"] == other["id"]


def test_the_calls_of_an_ozeki_account(house: Deployment, caller: Celery, office: PbxDoor) -> None:
    """The same fields, without views."""
    name = office.call(source="+3613371234", destination="1000", caller="Jane")
    (call,) = _calls(house, caller, "office")
    assert call.keys() >= FIELDS
    assert (call["call_id"], call["caller"], call["views"]) == (name, "Jane", [])
    office.end(name)
    assert _calls(house, caller, "office") == []


def test_numbers_stay_with_the_caller(house: Deployment, caller: Celery, app: AppDoor) -> None:
    """The worker's log tells how many calls there are, and Redis forgets them in ten minutes."""
    app.begin_call(other="34660777555", caller="Maria Gil <34660777555>")
    asked = house.send(caller, "call.list", account="pbx")
    (call,) = asked.get(timeout=60)["calls"]
    assert "34660777555" in call["caller"]
    log = house.processes[0].log
    eventually(lambda: f"{asked.id}] succeeded" in log(), what="its end is not in the log")
    assert "<1 call>" in log()
    assert "34660777555" not in log()
    assert "Maria" not in log()
    with house.valkey.client() as redis:
        key = f"celery-task-meta-{asked.id}"
        eventually(lambda: 0 < int(redis.ttl(key)) <= 600, what="it was kept for long")  # type: ignore[arg-type]


def test_trouble_is_tried_three_times(house: Deployment, caller: Celery, app: AppDoor) -> None:
    """Two failures are not seen, a third one is told; a server that asks to wait is waited for."""
    app.begin_call()
    app.fault("list", "answer", status=500, times=2)
    assert len(_calls(house, caller, "pbx")) == 1
    app.fault("list", "answer", status=500, times=3)
    with pytest.raises(Exception, match="unknown: ") as failed:
        _calls(house, caller, "pbx")
    assert type(failed.value).__name__ == "Uncertain"
    app.fault("list", "answer", status=429, retry_after=1)
    assert len(_calls(house, caller, "pbx")) == 1


@pytest.mark.parametrize(
    ("account", "given", "named"),
    [
        ("legal", {}, "account"),
        ("nobody", {}, "account"),
        ("pbx", {"extension": "210"}, "extension"),
        ("pbx", {"user_id": "john"}, "user_id"),
        ("office", {"extension": "1000"}, "extension"),
        ("office", {"user_id": "@me"}, "user_id"),
        ("pbx", {"call_id": "1"}, "call_id"),
    ],
)
def test_a_wrong_argument_is_named(
    house: Deployment, caller: Celery, account: str, given: dict[str, Any], named: str
) -> None:
    """InvalidArgument, for what an account ignores as well."""
    with pytest.raises(Exception, match=f"not done: {named}: ") as refused:
        _calls(house, caller, account, **given)
    assert type(refused.value).__name__ == "InvalidArgument"
