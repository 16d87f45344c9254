"""The VoipNow client on a wire that fails, and with tokens that die, against the simulator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from providers.errors import BadCredentials, ProviderError, Throttled, Uncertain, Unreachable
from providers.voipnow.account import VoipnowAccount
from providers.voipnow.client import Voipnow
from providers.voipnow.refusals import Refused

from . import edges, shared_simulators
from .edges import Edge
from .simulators import Simulators
from .simulators.voipnow_door import AppDoor
from .voipnow_accounts import MemoryShelf, connect
from .waiting import in_time

simulators = shared_simulators.simulators
edge = edges.edge

Act = Callable[[Voipnow, str], object]
ACTS: dict[str, Act] = {
    "list": lambda voipnow, _: voipnow.calls(),
    "start": lambda voipnow, call: voipnow.start(call, "01"),
    "stop": lambda voipnow, call: voipnow.stop(call, "01"),
}
EACH = pytest.mark.parametrize("operation", list(ACTS))


@pytest.fixture
def door(simulators: Simulators) -> AppDoor:
    """An App of its own."""
    return simulators.voipnow.account()


@pytest.fixture
def call(door: AppDoor) -> str:
    """The id of a call."""
    return str(door.begin_call()["id"])


@EACH
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("trickle", {"seconds_per_byte": 0.1, "part": "headers"}),
        ("trickle", {"seconds_per_byte": 0.05, "part": "body"}),
    ],
)
def test_a_call_that_hangs_ends_in_its_time(
    door: AppDoor, call: str, operation: str, kind: str, more: dict[str, Any]
) -> None:
    """Also where bytes of its head or of its answer still trickle."""
    shelf = MemoryShelf()
    with connect(door, shelf) as warm:
        warm.calls()
    door.fault(operation, kind, **more)
    with (
        connect(door, shelf, timeout_seconds=1) as voipnow,
        in_time(),
        pytest.raises(Uncertain),
    ):
        ACTS[operation](voipnow, call)


@EACH
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Uncertain),
        (307, Uncertain),
        (400, Refused),
        (404, Refused),
        (408, Uncertain),
        (429, Throttled),
        (500, Uncertain),
        (502, Uncertain),
        (503, Throttled),
        (504, Uncertain),
    ],
)
@pytest.mark.parametrize("body", ["error", "html", "empty"])
def test_each_status_means_the_same_everywhere(
    simulators: Simulators,
    edge: Edge,
    door: AppDoor,
    call: str,
    operation: str,
    status: int,
    kind: type[ProviderError],
    body: str,
) -> None:
    """Whatever the body is; a redirect is not followed."""
    headers = {"Location": f"{simulators.url}/voipnow/elsewhere"} if status < 400 else {}
    door.fault(operation, "answer", status=status, body=body, headers=headers)
    with edge.client(door) as voipnow, pytest.raises(ProviderError) as caught:
        ACTS[operation](voipnow, call)
    assert type(caught.value) is kind
    assert simulators.log.requests(path="/voipnow/elsewhere") == []


@EACH
def test_a_success_of_another_kind_is_none(
    edge: Edge, door: AppDoor, call: str, operation: str
) -> None:
    """200 with other JSON."""
    door.fault(operation, "answer", status=200, body={"status": "fine"})
    with edge.client(door) as voipnow, pytest.raises(Uncertain):
        ACTS[operation](voipnow, call)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("end", ["expire_tokens", "revoke_tokens"])
def test_a_dead_token_is_replaced(
    simulators: Simulators, edge: Edge, door: AppDoor, call: str, status: int, end: str
) -> None:
    """By one login, and the start is done once."""
    door.configure(dead_token_status=status)
    with edge.client(door) as voipnow:
        voipnow.calls()
        getattr(door, end)()
        voipnow.start(call, "01")
    assert [one["outcome"] for one in door.actions()] == ["started"]
    assert len(simulators.log.requests("token", door.client_id)) == 2


def test_two_that_renew_at_once_are_one_at_the_server(
    simulators: Simulators, door: AppDoor
) -> None:
    """Two threads meet the dead token in the same moment: one grant."""
    shelf = MemoryShelf()
    with connect(door, shelf) as first:
        first.calls()
    door.revoke_tokens()
    barrier = threading.Barrier(2)

    def work(_: int) -> None:
        with connect(door, shelf) as voipnow:
            barrier.wait(10)
            voipnow.calls()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))
    assert len(simulators.log.requests("token", door.client_id)) == 2


def test_a_short_life_is_renewed_before_its_end(simulators: Simulators, door: AppDoor) -> None:
    """A token that would end at once is not used again."""
    door.configure(expires_in=0)
    shelf = MemoryShelf()
    for _ in range(2):
        with connect(door, shelf) as voipnow, pytest.raises(BadCredentials):
            voipnow.calls()
    assert len(simulators.log.requests("token", door.client_id)) == 4


def test_a_wrong_secret_is_tried_once(simulators: Simulators, edge: Edge, door: AppDoor) -> None:
    """And says what to check."""
    with (
        edge.client(door, client_secret="not it") as voipnow,
        pytest.raises(BadCredentials, match=r"invalid_client.*check client_id and client_secret"),
    ):
        voipnow.calls()
    assert [one["status"] for one in simulators.log.requests("token", door.client_id)] == [401]


@pytest.mark.parametrize("kind", ["reset", "close", "hang"])
def test_a_login_that_breaks_sends_nothing(
    simulators: Simulators, door: AppDoor, call: str, kind: str
) -> None:
    """Without a token the start surely was not done."""
    door.fault("token", kind, times=None)
    with (
        connect(door, timeout_seconds=0.5) as voipnow,
        pytest.raises(Unreachable, match="nothing was sent"),
    ):
        voipnow.start(call, "01")
    assert simulators.log.requests("start", door.client_id) == []


def test_every_request_is_announced(door: AppDoor, call: str) -> None:
    """`before_call` paces each request of an operation, the one after a renewal among them, logins
    apart.
    """
    counted: list[int] = []
    account = VoipnowAccount.model_validate({"alias": "pbx", **door.configuration()})
    pacing = Voipnow(account, MemoryShelf(), before_call=lambda: counted.append(1))
    with pacing as voipnow:
        voipnow.calls()
        door.revoke_tokens()
        voipnow.start(call, "01")
    assert len(counted) == 3


def test_no_credential_leaves_but_to_the_server(
    simulators: Simulators, edge: Edge, door: AppDoor, call: str
) -> None:
    """Every call carried a valid token, in its header alone."""
    with edge.client(door) as voipnow:
        voipnow.calls()
        voipnow.start(call, "01")
        voipnow.stop(call, "01")
    requests = simulators.log.requests(account=door.client_id)
    assert {one["authorization"] for one in requests} == {"valid", "not needed"}
    for secret in simulators.voipnow.secrets():
        assert all(secret not in str({**one, "secrets": ""}) for one in requests)


def test_the_servers_time_is_told(edge: Edge, door: AppDoor) -> None:
    """From the Date of its newest answer."""
    with edge.client(door) as voipnow:
        assert voipnow.provider_time is None
        voipnow.calls()
        assert voipnow.provider_time is not None
