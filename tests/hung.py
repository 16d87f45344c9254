"""What hangs: servers that take connections and answer nothing, stopped processes, folders and
names.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

_PIECE = 1 << 16


class Relay:
    """Forwards connections to the server of ``url``; while it is frozen, it takes and says nothing.

    Parameters: ``url`` of the server. ``port`` is where the relay listens.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._flows = threading.Event()
        self._flows.set()
        self._is_closed = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Forward nothing more in either direction."""
        self._flows.clear()

    def thaw(self) -> None:
        """Forward again, what was held back too."""
        self._flows.set()

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            self._is_closed = True
            self._flows.set()
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _keep(self, one: socket.socket) -> bool:
        """Note a socket, to be closed with the relay; close it now if the relay is closed."""
        with self._lock:
            if self._is_closed:
                one.close()
                return False
            self._sockets.append(one)
            return True

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            if self._keep(caller):
                threading.Thread(target=self._connect, args=(caller,), daemon=True).start()

    def _connect(self, caller: socket.socket) -> None:
        self._flows.wait()
        try:
            server = socket.create_connection(self._server)
        except OSError:
            caller.close()
            return
        if self._keep(server):
            for pair in ((caller, server), (server, caller)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                self._flows.wait()
                target.sendall(piece)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(url: str) -> Iterator[Relay]:
    """A relay to a server, closed at the end."""
    made = Relay(url)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """Stop a process and all its children by SIGSTOP, and let them continue at the end."""
    root = psutil.Process(pid)
    stopped = [root]
    root.suspend()
    try:
        # A stopped process starts no further children.
        stopped += root.children(recursive=True)
        for one in stopped[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.suspend()
        yield
    finally:
        for one in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()


def hanging(switch: Path, **what: str) -> dict[str, str]:
    """The environment of processes for which something hangs while the file ``switch`` is there:
    HANGING_FOLDER, or the resolution of HANGING_NAME, which is this machine.
    """
    programs = Path(__file__).parent / "programs" / "hangs"
    return {"PYTHONPATH": str(programs), "HANGING_WHILE": str(switch), **what}
