"""Connections that nobody finishes keep no honest notification out."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from worker.webhooks.connections import MAX_PER_STRANGER, MAX_STRANGERS, address_of

from .deployment import Deployment
from .ozeki_house import OzekiHouse, ozeki_house
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

#: Descriptors of the receiver: 64 are its own.
DESCRIPTORS = 200
CROWD = 300
HONEST = 43
HALF = b"POST /ozeki/office/notify HTTP/1.1\r\nHost: x\r\n"
NO_BODY = HALF + b"Content-Length: 20\r\n\r\n"
TLS = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))
HUGE = HALF + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n"
PIPELINED = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 200


@pytest.fixture
def receiver(deploy: Deploy, simulators: Simulators) -> Callable[..., OzekiHouse]:
    """Starts a receiver with few descriptors, for one account with these networks."""

    def start(*networks: str) -> OzekiHouse:
        office = ozeki_house(deploy, simulators, allowed_networks=list(networks))
        process = office.hooks()
        _, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
        return office

    return start


@contextlib.contextmanager
def crowd(office: OzekiHouse, sent: bytes, sources: Callable[[int], str]) -> Iterator[list[Any]]:
    """Many connections from these addresses, each with what it sent, none of them finished."""
    parts = httpx.URL(office.url)
    held = []
    with contextlib.ExitStack() as stack:
        for number in range(CROWD):
            with contextlib.suppress(OSError):
                address = (parts.host, parts.port)
                one = socket.create_connection(address, 20, (sources(number), 0))
                held.append(stack.enter_context(one))
                one.sendall(sent)
        yield held


def honest(office: OzekiHouse, number: int) -> int | str:
    """The status that a notification of the telephone system is answered with."""
    fields = {"NotificationName": "CallChanged", "CallID": str(number), "CallState": "InCall"}
    transport = httpx.HTTPTransport(local_address="127.0.0.1")
    with httpx.Client(transport=transport, timeout=20) as client:
        try:
            return client.post(f"{office.url}/ozeki/office/notify", data=fields).status_code
        except httpx.HTTPError as error:
            return repr(error)


@pytest.mark.parametrize("sent", [b"", HALF, NO_BODY, TLS, HUGE, PIPELINED])
def test_a_forbidden_network_keeps_nobody_out(
    receiver: Callable[..., OzekiHouse], sent: bytes
) -> None:
    """Whatever it begins and does not finish, from one address or from many: every notification
    from the allowed network is answered meanwhile.
    """
    office = receiver("127.0.0.1/32")
    for sources in (lambda _: "127.0.0.2", lambda number: f"127.0.1.{number % 250 + 1}"):
        with crowd(office, sent, sources):
            assert [honest(office, number) for number in range(HONEST)] == [200] * HONEST


@pytest.mark.parametrize("sent", [HALF, NO_BODY])
@pytest.mark.parametrize(
    "sources", [lambda _: "127.0.0.1", lambda number: f"127.0.1.{number % 250 + 1}"]
)
def test_nobody_within_keeps_the_others_out(
    receiver: Callable[..., OzekiHouse], sent: bytes, sources: Callable[[int], str]
) -> None:
    """Nor do senders within an allowed network, the telephone system's own address included: the
    oldest that has sent least makes room.
    """
    office = receiver("127.0.0.0/8")
    with crowd(office, sent, sources):
        assert [honest(office, number) for number in range(HONEST)] == [200] * HONEST
    assert "the limit of open connections is reached" in office.log("hooks")


def test_strangers_take_few_places(receiver: Callable[..., OzekiHouse]) -> None:
    """Of one address outside every allowed network a few connections stay open, of all together a
    few more; what they ask for is still not found, and whether the receiver works is still said.
    """
    office = receiver("127.0.0.1/32")
    many: list[tuple[Callable[[int], str], int]] = [
        (lambda _: "127.0.0.2", MAX_PER_STRANGER),
        (lambda number: f"127.0.1.{number % 250 + 1}", MAX_STRANGERS),
    ]
    for sources, most in many:
        with crowd(office, HALF, sources) as held:
            few = partial(_few_are_open, held, most)
            eventually(few, what="more stayed open")
    transport = httpx.HTTPTransport(local_address="127.0.0.3")
    with httpx.Client(transport=transport, timeout=20) as stranger:
        assert stranger.get(f"{office.url}/health").status_code == 204
        answer = stranger.post(f"{office.url}/ozeki/office/notify", data={"CallID": "1"})
        assert (answer.status_code, answer.content) == (404, b"")


def _few_are_open(held: list[socket.socket], most: int) -> bool:
    return sum(map(_is_open, held)) <= most


def _is_open(connection: socket.socket) -> bool:
    try:
        connection.setblocking(False)
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("127.0.0.1", 5), "127.0.0.1"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", None),
        (("nonsense", 1), None),
    ],
)
def test_one_peer_has_one_address(given: Any, meant: str | None) -> None:
    """Also where IPv4 comes mapped into IPv6, or with the name of an interface."""
    assert (None if meant is None else meant) == (
        None if address_of(given) is None else str(address_of(given))
    )
