"""Files that the provider redirects to another place: what is followed, and with what."""

from __future__ import annotations

import logging
import socket
from typing import Any

import httpx
import pytest

from providers.errors import NotReady, ProviderError, Rejected, Throttled, Uncertain
from providers.http.redirects import is_public
from providers.vonage.client import Vonage

from . import shared_simulators
from .overheard import listen
from .simulators import Simulators
from .vonage_accounts import JOB, TAG, ZIP, MemoryShelf, account, raw
from .vonage_simulated import WINDOW, connect, ids, saved, seeded

simulators = shared_simulators.simulators

BASE = "https://vonage.example/t/vbc.prod/call_recording_india"
SIGNED = "https://bucket.store.example/part.zip?X-Amz-Signature=signature-canary"


class Places(httpx.BaseTransport):
    """Answers by host, in order, and keeps what it was asked."""

    def __init__(self, **answers: list[Any]) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = {host: iter(steps) for host, steps in answers.items()}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = next(self._answers[request.url.host.split(".")[0]])
        if isinstance(step, Exception):
            raise step
        return step

    def seen(self, host: str) -> list[httpx.Request]:
        """The requests to one host."""
        return [one for one in self.requests if one.url.host.startswith(host)]


def moved(status: int = 307, to: str = SIGNED) -> httpx.Response:
    """A redirect, with a cookie as gateways send them."""
    return raw(status, Location=to, Set_Cookie="session=cookie-canary; Domain=example")


def fetched(places: Places, held: bytes = b"", **more: Any) -> bytes:
    """The ZIP of an export, going on from what is held."""
    known = account(access_token="token-canary", login_name="john.doe", **more)
    with (
        Vonage(known, MemoryShelf(), transport=places) as vonage,
        vonage.retrieve(JOB, etag=TAG, offset=len(held)) as body,
    ):
        return held[: body.offset] + b"".join(body.chunks())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_store_is_followed_without_our_token(status: int) -> None:
    """The store is sent neither token nor cookie, and the signed address unchanged."""
    places = Places(vonage=[moved(status)], bucket=[raw(200, ZIP)])
    assert fetched(places) == ZIP
    (request,) = places.seen("bucket")
    assert (request.method, str(request.url)) == ("GET", SIGNED)
    assert request.headers["accept-encoding"] == "identity"
    assert "canary" not in str(request.headers)
    assert not {"authorization", "cookie"} & set(request.headers)


def test_a_part_goes_on_from_the_first_address() -> None:
    """A signed address may have run out by then, so a new one is asked for each time."""
    part = raw(206, ZIP[100:], Content_Range=f"bytes 100-{len(ZIP) - 1}/{len(ZIP)}", ETag=TAG)
    places = Places(vonage=[moved()], bucket=[part])
    assert fetched(places, held=ZIP[:100]) == ZIP
    assert [one.url.host for one in places.requests] == ["vonage.example", "bucket.store.example"]
    assert [one.headers["range"] for one in places.requests] == ["bytes=100-"] * 2


def test_within_the_own_origin_the_token_goes_along_and_never_comes_back() -> None:
    """To the same scheme, host and port only; after another host it is gone for good."""
    places = Places(
        vonage=[moved(to="/files/1"), moved(to=SIGNED), raw(200, ZIP)],
        bucket=[moved(to="https://vonage.example/files/2")],
    )
    assert fetched(places) == ZIP
    carried = ["authorization" in one.headers for one in places.requests]
    assert carried == [True, True, False, False]


@pytest.mark.parametrize(
    "location",
    [
        "",
        " ",
        "http://bucket.store.example/part.zip?key=signature-canary",
        "http://vonage.example/part.zip?key=signature-canary",
        "ftp://bucket.store.example/",
        "https://user:signature-canary@bucket.store.example/",
        "file:///etc/passwd",
    ],
)
def test_what_is_not_followed_fails_at_once(location: str) -> None:
    """Plain HTTP, other schemes, credentials in the address, and what is no address."""
    places = Places(vonage=[moved(to=location)])
    with pytest.raises(Rejected, match=r"redirect .*; it was not followed") as caught:
        fetched(places)
    assert type(caught.value) is Rejected
    assert "signature" not in str(caught.value)
    assert len(places.requests) == 1


def test_a_redirect_without_an_address() -> None:
    """It leads nowhere."""
    with pytest.raises(Rejected, match="with no readable address"):
        fetched(Places(vonage=[raw(302)]))


def test_three_redirects_and_no_more() -> None:
    """Whoever sends us in circles is not followed for ever."""
    assert fetched(Places(vonage=[moved()], bucket=[moved(), moved(), raw(200, ZIP)])) == ZIP
    with pytest.raises(Rejected, match="more than 3 redirects"):
        fetched(Places(vonage=[moved()], bucket=[moved() for _ in range(3)]))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (raw(401), Uncertain),
        (raw(403, b"<Error><Code>AccessDenied</Code></Error>"), Uncertain),
        (raw(404), NotReady),
        (raw(500), Uncertain),
        (raw(503), Throttled),
    ],
)
def test_what_a_store_refuses_is_not_our_credentials(
    answer: httpx.Response, kind: type[Exception]
) -> None:
    """A signed address that ran out is asked for again; the account does not rest for it."""
    with pytest.raises(kind) as caught:
        fetched(Places(vonage=[moved()], bucket=[answer]))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "steps",
    [
        [raw(500)],
        [raw(403)],
        [moved(to="http://bucket.store.example/?key=signature-canary")],
        [moved(), moved(), moved()],
        [httpx.ReadError("lost ?X-Amz-Signature=signature-canary")],
        [httpx.ConnectError("lost ?X-Amz-Signature=signature-canary")],
    ],
)
def test_no_error_keeps_the_signed_address(steps: list[Any]) -> None:
    """Neither in its words and causes nor in the frames of the client that it passed."""
    with pytest.raises(ProviderError) as caught:
        fetched(Places(vonage=[moved()], bucket=steps))
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    told = [str(error), repr(error)]
    trace = error.__traceback__
    while trace is not None:
        if "/providers/" in trace.tb_frame.f_code.co_filename:
            told.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert "canary" not in "".join(told).replace("token-canary", "")


@pytest.mark.parametrize(
    "act",
    [
        lambda vonage: vonage.recordings({}).result(),
        lambda vonage: vonage.recording("1").line(),
        lambda vonage: vonage.delete("1"),
        lambda vonage: vonage.export(WINDOW),
    ],
)
def test_nothing_but_files_is_redirected(act: Any) -> None:
    """Lists and what acts stay where they were sent."""
    places = Places(vonage=[moved()])
    known = account(access_token="token-canary", login_name="john.doe")
    with Vonage(known, MemoryShelf(), transport=places) as vonage, pytest.raises(Uncertain):
        act(vonage)
    assert len(places.requests) == 1


NOT_PUBLIC = """
127.0.0.1 127.8.9.1 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 192.0.2.1
198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 fc00::1 ff02::1
::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 2001:db8::1
2001:0:53aa:64c:0:0:80ff:fffe nonsense
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_an_address_that_is_not_public(address: str) -> None:
    """Of this machine, of private networks, of many or of nobody, and IPv4 in the guise of IPv6."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_an_address_of_the_internet(address: str) -> None:
    """Object stores have such."""
    assert is_public(address)


def test_a_store_that_the_account_names(
    simulators: Simulators, caplog: pytest.LogCaptureFixture
) -> None:
    """Over sockets: fetched whole, resumed, and the signature in no log."""
    door = seeded(simulators)
    door.configure(store=simulators.url.replace("127.0.0.1", "localhost"))
    listen(caplog, logging.INFO)
    with connect(door, MemoryShelf(), download_hosts=["localhost"]) as vonage:
        (job,) = vonage.export(WINDOW)
        whole = saved(vonage, job)
        assert whole.startswith(b"PK")
        with vonage.retrieve(job) as body:
            etag = body.etag
        assert saved(vonage, job, whole[:3000], etag) == whole
        with vonage.audio(ids(door)[0]) as body:
            assert len(b"".join(body.chunks())) == 5000
    assert "signature-" not in caplog.text


@pytest.mark.parametrize("name", ["localhost", "127.0.0.2", "0.0.0.0", "2130706433"])
def test_a_private_address_is_not_connected_to(
    simulators: Simulators, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever the host is called: its addresses are judged, before a connection is opened."""
    connected: list[Any] = []
    create = socket.create_connection

    def counted(address: Any, *more: Any, **named: Any) -> socket.socket:
        connected.append(address)
        return create(address, *more, **named)

    monkeypatch.setattr(socket, "create_connection", counted)
    door = seeded(simulators)
    door.configure(store=f"https://{name}:9")
    with connect(door, MemoryShelf()) as vonage:
        (job,) = vonage.export(WINDOW)
        with pytest.raises(Rejected, match=r"not a public address; .* download_hosts"):
            saved(vonage, job)
    assert {host for host, _ in connected} == {"127.0.0.1"}
    assert 9 not in {port for _, port in connected}


def test_one_private_address_among_public_ones_is_enough(
    simulators: Simulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once, and what was judged is what would be connected to."""
    lookups: list[str] = []
    look_up = socket.getaddrinfo

    def answered(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host != "rebound.example":
            return look_up(host, port, *more, **named)
        lookups.append(host)
        stream = socket.SOCK_STREAM
        return [(socket.AF_INET, stream, 6, "", (ip, port)) for ip in ("8.8.8.8", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    door = seeded(simulators)
    door.configure(store="https://rebound.example:9")
    with connect(door, MemoryShelf()) as vonage:
        (job,) = vonage.export(WINDOW)
        with pytest.raises(Rejected, match="not a public address"):
            saved(vonage, job)
    assert lookups == ["rebound.example"]


def test_a_store_that_is_not_there(simulators: Simulators) -> None:
    """It may be there later."""
    door = seeded(simulators)
    door.configure(store="http://127.0.0.1:9")
    with connect(door, MemoryShelf()) as vonage:
        (job,) = vonage.export(WINDOW)
        with pytest.raises(Uncertain, match="not be reached"):
            saved(vonage, job)


def test_a_store_that_hangs(simulators: Simulators) -> None:
    """With its redirects a call has one deadline."""
    door = seeded(simulators)
    door.configure(store=simulators.url.replace("127.0.0.1", "localhost"))
    more: dict[str, Any] = {"timeout_seconds": 3, "download_hosts": ["localhost"]}
    with connect(door, MemoryShelf(), **more) as vonage:
        (job,) = vonage.export(WINDOW)
        simulators.vonage.fault("store", "hang", seconds=60)
        with pytest.raises(Uncertain, match="the answer did not arrive completely"):
            saved(vonage, job)
        assert saved(vonage, job).startswith(b"PK")
