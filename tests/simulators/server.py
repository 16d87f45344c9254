"""The one entrance: an HTTP server on raw sockets for all simulated providers."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .control import PREFIX, Control
from .doors import VonageDoor
from .gsmblockchain import Gsmblockchain
from .gsmblockchain_control import GsmblockchainControl
from .gsmblockchain_door import GsmblockchainDoor
from .log import Log, Record, Records
from .messages import Reply, Request, json_reply
from .ozeki import Ozeki
from .ozeki_control import OzekiControl
from .ozeki_door import OzekiDoor
from .provider import Provider, ProviderControl
from .voipnow import Voipnow
from .voipnow_control import VoipnowControl
from .voipnow_door import VoipnowDoor
from .vonage import Vonage
from .vonage_control import VonageControl
from .wire import Delivery, Severed, Wire

SEND_BUFFER = 256 * 1024  # small, so that "sent" means near to the client
RESET = struct.pack("ii", 1, 0)


class Server(ThreadingHTTPServer):
    """Keeps its connections in hand: they can be reset, and all end when it stops."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Handler)
        self.stopping = threading.Event()
        self.log: Log
        self.control: Control
        self.providers: dict[str, Provider] = {}
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Closes; a connection marked for reset gets no FIN before its RST."""
        self._connections.discard(request)
        size = len(RESET)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, size) == RESET:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    @contextmanager
    def answered(
        self, name: str, request: Request, wire: Wire
    ) -> Iterator[tuple[Reply, Delivery, Record]]:
        """A provider's answer to a request, how it is to travel, and the request's record in the
        log, which ends with the context. Raises Severed where no answer comes.
        """
        record = self.log.begin(
            provider=name,
            method=request.method,
            path=request.path,
            query=dict(request.query),
            range=request.header("range"),
            if_range=request.header("if-range"),
        )
        outcome = "simulator failed"
        try:
            reply, delivery = self.providers[name].answer(request, record, wire)
            record["status"] = reply.status
            yield reply, delivery, record
            outcome = "complete"
        except Severed as severed:
            outcome = severed.how
            raise
        except OSError as error:
            outcome = f"client gone: {type(error).__name__}"
            raise
        finally:
            self.log.end(record, outcome)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not self.stopping.is_set():
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Ends every wait and every connection, then the server."""
        self.stopping.set()
        self.shutdown()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Reads requests of one connection and hands them to their provider."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self._wire = Wire(self.connection, self.server.stopping)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _serve(self) -> None:
        request = self._request()
        if request.path == PREFIX or request.path.startswith(PREFIX + "/"):
            self._wire.send(self.server.control.answer(request), Delivery(), lambda _: None)
            return
        name = request.path.split("/")[1]
        if name not in self.server.providers:
            nobody = json_reply(404, {"error": f"no provider under {request.path}"})
            self._wire.send(nobody, Delivery(), lambda _: None)
            return
        self._provider(name, request)

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = _serve  # noqa: N815

    def _request(self) -> Request:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        return Request.sent(self.command, self.path, dict(self.headers.items()), body)

    def _provider(self, name: str, request: Request) -> None:
        try:
            with self.server.answered(name, request, self._wire) as (reply, delivery, record):
                self._wire.send(reply, delivery, partial(_count, record))
        except (Severed, OSError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """The effect log says it all."""


def _count(record: Record, sent: int) -> None:
    record["sent_bytes"] += sent


class Simulators:
    """The simulators in this process; a context manager.

    `port` 0 takes a free one. `data` is where archives and log.jsonl lie; without it a
    temporary directory that goes when the simulators stop. `url` is the address by which others
    reach them, where it is not their own.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        data: Path | str | None = None,
        url: str | None = None,
    ) -> None:
        self._own = data is None
        self.data = Path(data or tempfile.mkdtemp(prefix="simulators-"))
        self.data.mkdir(parents=True, exist_ok=True)
        self._server = Server((host, port))
        shown = "127.0.0.1" if host in ("", "0.0.0.0") else host
        self.url = url or f"http://{shown}:{self._server.server_address[1]}"
        self._thread: threading.Thread | None = None
        self._log = Log(self.data / "log.jsonl")
        self._server.log = self._log
        vonage = Vonage(self._log, self.data)
        gsmblockchain = Gsmblockchain(self._log)
        voipnow = Voipnow(self._log)
        ozeki = Ozeki(self._log)
        self._server.providers = {
            "vonage": vonage,
            "gsmblockchain": gsmblockchain,
            "voipnow": voipnow,
            "ozeki": ozeki,
        }
        controls: dict[str, ProviderControl] = {
            "vonage": VonageControl(vonage, self.url),
            "gsmblockchain": GsmblockchainControl(gsmblockchain, self.url),
            "ozeki": OzekiControl(ozeki, self.url),
            "voipnow": VoipnowControl(voipnow, self.url),
        }
        self._server.control = Control(self._log, controls)
        call = self._server.control.call
        self.vonage = VonageDoor(self.url, partial(call, "vonage"))
        self.gsmblockchain = GsmblockchainDoor(self.url, partial(call, "gsmblockchain"))
        self.ozeki = OzekiDoor(partial(call, "ozeki"))
        self.voipnow = VoipnowDoor(self.url, partial(call, "voipnow"))

    @property
    def log(self) -> Records:
        """Everything that has happened until now."""
        return self._log.records()

    def answered(
        self, request: Request, wire: Wire
    ) -> AbstractContextManager[tuple[Reply, Delivery, Record]]:
        """The answer of the provider that a request's path names, without a connection."""
        return self._server.answered(request.path.split("/")[1], request, wire)

    def start(self) -> Self:
        """Serve on a thread of its own. Raises RuntimeError when called a second time."""
        if self._thread is not None:
            raise RuntimeError("the simulators are started already")
        # How often it looks whether it is to stop, which is how long stopping takes.
        serve = partial(self._server.serve_forever, poll_interval=0.02)
        self._thread = threading.Thread(target=serve, name="simulators", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends every connection and the server; a second time it does nothing."""
        if self._server.stopping.is_set():
            return
        self._server.stop()
        if self._thread is not None:
            self._thread.join(timeout=30)
        self._log.close()
        if self._own:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
