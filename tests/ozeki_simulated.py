"""What tests of simulated Ozeki servers share: a receiver of notifications, and clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from providers.ozeki.account import OzekiAccount
from providers.ozeki.client import Ozeki
from providers.ozeki.notifications import Notification, notification

from .simulators.ozeki_door import PbxDoor

#: What an application answers a notification with.
Answer = Callable[[Notification], bytes]


class Receiver:
    """An application that is told of calls: keeps what comes, with the path that it came to, and
    answers as ``answer`` says; a context manager.
    """

    def __init__(self) -> None:
        self.answer: Answer = lambda _: b""
        self.bodies: list[bytes] = []
        self.received: list[tuple[str, Notification]] = []
        self.headers: list[dict[str, str]] = []
        self._came = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver._take(self.path, dict(self.headers), body)
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """What came is kept."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks/office/token"

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        with self._came:
            self.bodies.append(body)
            self.headers.append(headers)
            self._came.notify_all()
        if len(body) > 1 << 16:
            return b""
        told = notification(body)
        with self._came:
            self.received.append((path, told))
            self._came.notify_all()
        return self.answer(told)

    def named(self, name: str) -> list[Notification]:
        """The notifications of this name so far."""
        return [told for _, told in self.received if told.name == name]

    def wait_for(self, count: int) -> None:
        """Returns when so many notifications have come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.received) >= count, timeout=30)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def connect(door: PbxDoor, **more: Any) -> Ozeki:
    """A client of the server."""
    table = {"alias": "office", "timeout_seconds": 10, **door.configuration(), **more}
    return Ozeki(OzekiAccount.model_validate(table))


def heard(ozeki: Ozeki, url: str, held: bytes = b"", etag: str | None = None) -> bytes:
    """The whole recording, going on from what is held."""
    with ozeki.collected(url, etag=etag, offset=len(held)) as body:
        return held[: body.offset] + b"".join(body.chunks())
