"""A gate before a server: shut, a connection to it neither stands nor fails; open, it leads on."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

PIECE = 1 << 16


class Gate:
    """Listens on a port of its own and forwards, while it is open, to the server of ``url``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._server = (parts.hostname, parts.port)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.passed = 0
        self._fillers: list[socket.socket] = []
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._fill()

    def _fill(self) -> None:
        """Take every place in the queue of connections: the kernel then drops who knocks."""
        while True:
            filler = socket.socket()
            filler.settimeout(0.3)
            self._fillers.append(filler)
            try:
                filler.connect(self._listener.getsockname())
            except TimeoutError:
                return

    def open(self) -> None:
        """Let everybody through who knocks, those who wait as well."""
        ours = {filler.getsockname() for filler in self._fillers}
        for filler in self._fillers:
            filler.close()
        self._start(self._accept, ours)

    def close(self) -> None:
        """End every connection."""
        self._stopped.set()
        for filler in self._fillers:
            filler.close()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, act: object, *arguments: object) -> None:
        thread = threading.Thread(target=act, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, fillers: set[tuple[str, int]]) -> None:
        self._listener.settimeout(0.1)
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                caller, address = self._listener.accept()
                if address in fillers:
                    caller.close()
                    continue
                self.passed += 1
                self._start(self._forward, caller)

    def _forward(self, caller: socket.socket) -> None:
        with caller, socket.create_connection(self._server) as server:
            other = {caller: server, server: caller}
            while not self._stopped.is_set():
                ready, _, _ = select.select(list(other), [], [], 0.1)
                for one in ready:
                    with contextlib.suppress(OSError):
                        if piece := one.recv(PIECE):
                            other[one].sendall(piece)
                            continue
                    return


@contextmanager
def gate(url: str) -> Iterator[Gate]:
    """A gate that is shut."""
    made = Gate(url)
    try:
        yield made
    finally:
        made.close()
