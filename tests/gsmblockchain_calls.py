"""What the tests of the gsmblockchain client share: an account, a call, raw servers."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from providers.gsmblockchain.account import GsmblockchainAccount
from providers.gsmblockchain.client import Gsmblockchain, Placed

USERNAME = "legal dept/+ñ"
PASSWORD = "p%41 ss'\"+/&%= wörd#?"
PHONE = "660111222"
COMPANY_NAME = "Peña & Hijos + Cía. S.L."
COMPANY_ID = "B-4562154/Ñ"
OK = b'{"status":"OK","phone":"912080202"}'
#: Ends what a busy machine delays; nothing here takes as long.
PATIENCE = 10.0


def account(base_url: str = "https://sms.example", **more: Any) -> GsmblockchainAccount:
    """An account whose credentials want encoding."""
    fields = {
        "provider": "gsmblockchain",
        "alias": "legal_es",
        "base_url": base_url,
        "username": USERNAME,
        "password": PASSWORD,
        "timezone": "Europe/Madrid",
        "max_calls_per_day": 100,
        "max_seconds_per_call": 900,
        "countries": ["ES", "FR", "PT"],
        "timeout_seconds": PATIENCE,
    }
    return GsmblockchainAccount.model_validate({**fields, **more})


def call(
    known: GsmblockchainAccount,
    before_bytes: Callable[[], None] = lambda: None,
    *,
    transport: httpx.BaseTransport | None = None,
    **more: Any,
) -> Placed:
    """One call of a client of its own."""
    asked: dict[str, Any] = {
        "country": "ES",
        "phone": PHONE,
        "max_seconds": 120,
        "company_name": COMPANY_NAME,
        "company_id": COMPANY_ID,
    }
    return Gsmblockchain(known, transport=transport).call(
        **{**asked, **more}, before_bytes=before_bytes
    )


def told(body: bytes, *, status: int = 200) -> Placed:
    """What a call makes of this answer."""

    def answer(request: httpx.Request) -> httpx.Response:
        request.extensions["trace"]("http11.send_request_headers.started", {})
        return httpx.Response(status, content=body)

    return call(account(), transport=httpx.MockTransport(answer))


@dataclass
class Server:
    """A server's address, what it read on each connection in turn, and whether one has come."""

    url: str
    received: list[bytes] = field(default_factory=list)
    links: list[socket.socket] = field(default_factory=list)
    is_met: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)


#: What a server does with a connection whose request it has read.
Serve = Callable[[socket.socket, Server], None]


@contextmanager
def serving(
    serve: Serve, *, reads: bool = True, certified: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """A server that does this with every connection, after its request unless it does not read it.

    What it received is complete once this ends.
    """
    threads: list[threading.Thread] = []

    def one(link: socket.socket) -> None:
        try:
            with certified.wrap_socket(link, server_side=True) if certified else link as open_link:
                request = _request(open_link) if reads else b""
                server.received.append(request)
                if request or not reads:
                    serve(open_link, server)
        except OSError:
            pass  # the client went away, as it should

    def accept() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            server.links.append(link)
            server.is_met.set()
            threads.append(threading.Thread(target=one, args=(link,)))
            threads[-1].start()

    scheme = "https" if certified else "http"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            server.stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(PATIENCE)


def _request(link: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request and (piece := link.recv(65536)):
        request += piece
    return request


def answering(body: bytes = OK, status: str = "200 OK", *headers: str) -> Serve:
    """Answers with this."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return lambda link, _: link.sendall(head.encode() + body)


def sending(data: bytes) -> Serve:
    """Sends these bytes and closes."""
    return lambda link, _: link.sendall(data)


def after(data: bytes, then: Serve) -> Serve:
    """Sends these bytes at once, and continues in another way."""

    def serve(link: socket.socket, server: Server) -> None:
        link.sendall(data)
        then(link, server)

    return serve


def resetting(link: socket.socket, _: Server) -> None:
    """Ends the connection with a reset."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hanging(_: socket.socket, server: Server) -> None:
    """Sends nothing more."""
    server.stopping.wait(60)


def trickling(link: socket.socket, server: Server) -> None:
    """One byte every twentieth of a second: far from any timeout between two bytes."""
    while not server.stopping.wait(0.05):
        link.sendall(b" ")
