"""A file is read from its connection in large pieces, over TLS too, and no byte is lost."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpcore
import pytest
from httpcore._backends.sync import SyncStream

from providers.errors import Uncertain
from providers.http.large_reads import LargeReads
from providers.vonage.client import Vonage

from .certificates import Authority
from .test_deadline import server
from .vonage_accounts import MemoryShelf, account

KIB = 1024
#: More than one read asks for, and little enough to lie in a socket's buffer as a whole.
SENT = bytes(range(256)) * 4 * 144
Pair = Callable[[], tuple[socket.socket, LargeReads]]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Makes a server's end with TLS, and the reads at the client's end."""
    certificate = Authority(tmp_path).certificate("localhost")
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(certificate)
    here = ssl.create_default_context()
    here.check_hostname, here.verify_mode = False, ssl.CERT_NONE
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def connect() -> tuple[socket.socket, LargeReads]:
            ours = stack.enter_context(socket.create_connection(listener.getsockname()))
            theirs, _ = listener.accept()
            served: list[ssl.SSLSocket] = []
            greeting = threading.Thread(
                target=lambda: served.append(there.wrap_socket(theirs, server_side=True))
            )
            greeting.start()
            client = stack.enter_context(here.wrap_socket(ours))
            greeting.join()
            return stack.enter_context(served[0]), LargeReads(SyncStream(client))

        yield connect


def test_a_read_takes_every_record_that_has_arrived(pair: Pair) -> None:
    """As much as was asked for, and more once the reads are enlarged; then nothing is waited for
    that has not arrived.
    """
    server_end, reads = pair()
    server_end.sendall(SENT)
    first = reads.read(64 * KIB, 10)
    assert len(first) == 64 * KIB
    reads.enlarge()
    second = reads.read(64 * KIB, 10)
    assert len(second) == len(SENT) - len(first)
    assert first + second == SENT
    server_end.sendall(b"more")
    assert reads.read(64 * KIB, 10) == b"more"
    with pytest.raises(httpcore.ReadTimeout):
        reads.read(64 * KIB, 0.01)


def test_bytes_before_a_break_are_returned_first(pair: Pair) -> None:
    """A connection that breaks behind two records loses neither, and every later read fails."""
    server_end, reads = pair()
    server_end.sendall(SENT[: 20 * KIB])
    with socket.socket(fileno=server_end.detach()) as bare:
        bare.sendall(b"this is no record of TLS")
        assert reads.read(64 * KIB, 10) == SENT[: 20 * KIB]
        for _ in range(2):
            with pytest.raises(httpcore.ReadError):
                reads.read(64 * KIB, 10)


def test_the_end_of_a_connection_is_no_break(pair: Pair) -> None:
    """The bytes before come first, then nothing, as from httpcore's own connection."""
    server_end, reads = pair()
    server_end.sendall(b"last words")
    server_end.close()
    assert reads.read(64 * KIB, 10) == b"last words"
    assert reads.read(64 * KIB, 10) == b""


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_file_comes_whole_however_it_is_framed(framing: str) -> None:
    """Over a real connection, with a Content-Length and in chunks of an odd size."""
    data = bytes(range(251)) * 20_000

    def send(link: socket.socket, _: threading.Event) -> None:
        if framing == "length":
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            return
        link.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(data), 77_777):
            chunk = data[start : start + 77_777]
            link.sendall(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
        link.sendall(b"0\r\n\r\n")

    more = {"access_token": "static", "timeout_seconds": 30}
    with (
        server(send) as url,
        Vonage(account(base_url=url, **more), MemoryShelf()) as vonage,
        vonage.audio("1") as body,
    ):
        assert b"".join(body.chunks()) == data


@pytest.mark.parametrize("sent", ["too much", "too little"])
def test_a_length_bounds_a_file_and_its_connection_is_not_used_again(sent: str) -> None:
    """Bytes behind the file's end belong to nothing, and a file that breaks off gives every byte
    before. The next request has a connection of its own.
    """
    data = bytes(range(251)) * 10_000
    connections = []

    def send(link: socket.socket, _: threading.Event) -> None:
        connections.append(link)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
        link.sendall(head + data[:10])
        link.sendall(data[10:] + b"HTTP/1.1" if sent == "too much" else data[10:-1])
        if sent == "too little":
            # Closed with unread bytes or at once, a connection is reset.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    more = {"access_token": "static", "timeout_seconds": 30}
    with (
        server(send) as url,
        Vonage(account(base_url=url, **more), MemoryShelf()) as vonage,
    ):
        for _ in range(2):
            received: list[bytes] = []
            with vonage.audio("1") as body:
                if sent == "too much":
                    received.extend(body.chunks())
                else:
                    with pytest.raises(Uncertain, match="broke off"):
                        received.extend(body.chunks())
            whole = b"".join(received)
            assert data.startswith(whole)
            assert (whole == data) is (sent == "too much")
    assert len(connections) == 2
