"""Deadlines on real sockets: however slowly a server answers, a call ends in its whole time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from providers.errors import ProviderError, Uncertain, Unreachable
from providers.http.deadline import Transport, within
from providers.vonage.client import Vonage

from . import gsmblockchain_calls
from .servers import free_port
from .vonage_accounts import MemoryShelf, account
from .waiting import in_time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
#: One that takes longer than a test would wait for it, when it comes byte by byte.
LONG_HEAD = HEAD.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 400 + b"\r\n\r\n")
#: Generous on a busy machine, and far below what the servers here would take.
PATIENCE = 10.0

#: What a server does with a connection whose request it has read, until it is stopped.
Serve = Callable[[socket.socket, threading.Event], None]


@contextmanager
def server(serve: Serve, port: int = 0) -> Iterator[str]:
    """The address of a server that does this with every connection."""
    stopping, threads = threading.Event(), []

    def one(link: socket.socket) -> None:
        with link:
            try:
                link.recv(65536)
                serve(link, stopping)
            except OSError:
                pass  # the client went away, as it should

    def accept() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(link,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", port)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(PATIENCE)


def trickle(data: bytes) -> Serve:
    """One byte every tenth of a second: far from any timeout between two bytes."""

    def serve(link: socket.socket, stopping: threading.Event) -> None:
        for byte in data:
            link.sendall(bytes([byte]))
            if stopping.wait(0.1):
                return

    return serve


def after(start: bytes, then: Serve) -> Serve:
    """Sends this at once, and then the rest in its own way."""

    def serve(link: socket.socket, stopping: threading.Event) -> None:
        link.sendall(start)
        then(link, stopping)

    return serve


def hang(_: socket.socket, stopping: threading.Event) -> None:
    """Sends nothing more."""
    stopping.wait(60)


def client(url: str, seconds: float = 2) -> Vonage:
    """A client of the server at this address, with its own transport. In its time it has to send a
    request, too: what comes of one that was not sent is something else.
    """
    more = {"access_token": "static", "base_url": url, "timeout_seconds": seconds}
    return Vonage(account(**more), MemoryShelf())


def refused_in_time(act: Callable[[], object]) -> ProviderError:
    """The error that an act ends with, long before what the server does would end."""
    with in_time(), pytest.raises(ProviderError) as caught:
        act()
    return caught.value


@pytest.mark.parametrize(
    "serve",
    [
        hang,
        trickle(LONG_HEAD),
        after(HEAD, hang),
        after(HEAD, trickle(b" " * 1000)),
        after(HEAD + b"{", trickle(b" " * 1000)),
    ],
    ids=["hangs", "head trickles", "body hangs", "body trickles", "body begins and trickles"],
)
def test_a_call_ends_within_its_whole_time(serve: Serve) -> None:
    """Each byte comes long before httpx's timeout would end, which begins anew with each."""
    with server(serve) as url, client(url) as vonage:
        error = refused_in_time(lambda: vonage.recordings({}))
    assert type(error) is Uncertain


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oops", b"404 Not Found", b"401 No"])
def test_whether_a_file_comes_is_known_in_time(status: bytes) -> None:
    """A retrieval's head, its refusal and its first bytes have a deadline each."""
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 9999\r\n\r\n"
    with (
        server(after(head + b"P", trickle(b"K" * 1000))) as url,
        client(url, 0.2) as vonage,
    ):
        refused_in_time(lambda: vonage.retrieve("job").__enter__())


def test_a_file_may_take_its_time() -> None:
    """The deadline is one of calls: a transfer goes on as long as bytes come, and they are handed
    on as they come.
    """
    data = b"ID3" + b"x" * 40
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n"
    with server(after(head, trickle(data))) as url, client(url, 3) as vonage:
        began = time.monotonic()
        with vonage.audio("1") as body:
            chunks = list(body.chunks())
        assert time.monotonic() - began > 3

    assert b"".join(chunks) == data
    assert len(chunks) > 1


def test_a_file_that_stands_still_is_given_up() -> None:
    """What came before is given first."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n"
    received: list[bytes] = []
    with (
        server(after(head + b"ID3", hang)) as url,
        client(url) as vonage,
        vonage.audio("1") as body,
    ):
        error = refused_in_time(lambda: received.extend(body.chunks()))

    assert (type(error), b"".join(received)) == (Uncertain, b"ID3")
    assert "stalled for too long after 3 bytes" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nID3 sound",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nID3 sound\r\n5\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nID3 sound\r\n",
    ],
    ids=["before its length", "inside a chunk", "between two chunks"],
)
def test_a_body_that_is_cut_is_not_whole(answer: bytes) -> None:
    """A connection that closes early is seen, whatever the framing."""
    received: list[bytes] = []
    with (
        server(after(answer, lambda *_: None)) as url,
        client(url) as vonage,
        vonage.audio("1") as body,
    ):
        error = refused_in_time(lambda: received.extend(body.chunks()))

    assert type(error) is Uncertain
    assert b"".join(received).startswith(b"ID3 sound")


def test_a_connection_that_closes_without_an_answer_is_uncertain() -> None:
    """The request was read: it may have been done."""
    with server(lambda *_: None) as url, client(url) as vonage:
        assert type(refused_in_time(lambda: vonage.export({}))) is Uncertain


def test_nobody_there_is_unreachable() -> None:
    """A refused connection and a name that no host can have: nothing was sent."""
    for url in (f"http://127.0.0.1:{free_port()}", "http://a..b"):
        with client(url, 5) as vonage:
            assert type(refused_in_time(lambda v=vonage: v.export({}))) is Unreachable


def test_a_host_that_takes_no_connection_is_unreachable() -> None:
    """A full backlog: the connection is never made, and the call ends in its time."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with waiting(listener.getsockname()), client(url) as vonage:
            assert type(refused_in_time(lambda: vonage.export({}))) is Unreachable


@contextmanager
def waiting(address: tuple[str, int]) -> Iterator[None]:
    """Connections that fill a listener's backlog."""
    links = [socket.socket() for _ in range(8)]
    for link in links:
        link.setblocking(False)
        link.connect_ex(address)
    try:
        yield
    finally:
        for link in links:
            link.close()


def test_addresses_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host's dead address leaves time for its next: httpx would give it all there is."""

    def answers(link: socket.socket, _: threading.Event) -> None:
        link.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    port = free_port()
    with (
        server(answers, port),
        socket.create_server(("127.0.0.2", port), backlog=0),
    ):
        places = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host in ("127.0.0.2", "127.0.0.1")
        ]
        found = socket.getaddrinfo

        def look_up(host: object, *more: object, **named: object) -> object:
            return places if host == "two.example" else found(host, *more, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with (
            waiting(("127.0.0.2", port)),
            client(f"http://two.example:{port}", 6) as vonage,
        ):
            assert vonage.delete("1") is True


def test_a_deadline_inside_another_only_shortens() -> None:
    """And the outer one holds again afterwards."""
    with (
        server(trickle(LONG_HEAD)) as url,
        httpx.Client(transport=Transport(), timeout=30, trust_env=False) as http,
        within(3),
    ):
        with in_time(), within(60), pytest.raises(httpx.ReadTimeout):
            http.get(url)
        with pytest.raises(httpx.ConnectTimeout):
            http.get(url)


def test_without_a_deadline_the_transport_is_httpxs_own() -> None:
    """Outside of `within` only the client's timeout counts."""
    with (
        server(
            after(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n", trickle(b"in peace" * 5))
        ) as url,
        httpx.Client(transport=Transport(), timeout=3, trust_env=False) as http,
    ):
        began = time.monotonic()
        assert http.get(url).text == "in peace" * 5
        assert time.monotonic() - began > 3


def test_a_call_for_which_no_time_is_left_does_not_leave() -> None:
    """What comes before its first byte took all of the account's time: its sender knows that no
    byte left, it can be tried again, and nobody has to decide.
    """
    with gsmblockchain_calls.serving(gsmblockchain_calls.answering()) as platform:
        known = gsmblockchain_calls.account(platform.url, timeout_seconds=3)
        with pytest.raises(Unreachable, match="nothing was sent"):
            gsmblockchain_calls.call(known, lambda: time.sleep(3.1))
        assert platform.is_met.wait(PATIENCE)
    assert platform.received == [b""]
