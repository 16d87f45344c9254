"""A receiver of alerts, as on-call people have one: it keeps what comes, misbehaves on request."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

#: What the next requests meet: a status, or "hang", which is no answer until the receiver closes.
Behaviour = int | str


class AlertReceiver:
    """Serves on a port of its own until it is closed; ``meets`` is what the next requests meet, one
    each; the last one stays.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.meets: list[Behaviour] = [200]
        self.received: list[tuple[Behaviour, Mapping[str, str], bytes]] = []
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Its address, with a key that nobody may see."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/hook?token=k3y-of-chat"

    def taken(self) -> list[dict[str, Any]]:
        """The bodies that were answered with 200, in order."""
        return [json.loads(body) for met, _, body in list(self.received) if met == 200]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _meet(self) -> Behaviour:
        with self._lock:
            return self.meets.pop(0) if len(self.meets) > 1 else self.meets[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                met = receiver._meet()
                receiver.received.append((met, dict(self.headers.items()), body))
                if isinstance(met, str):
                    receiver._closed.wait()
                    return
                self.send_response(met)
                if 300 <= met < 400:
                    self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        return Handler
