"""A Redis that needs a password, keeps a file of every write, and is watched while a test runs."""

from __future__ import annotations

import codecs
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from .servers import Valkey


class GuardedValkey(Valkey):
    """A Valkey server with a password; ``aof_dir`` holds every command that wrote something."""

    def __init__(self, aof_dir: Path, password: str) -> None:
        super().__init__(aof_dir)
        self.aof_dir = aof_dir
        self._password = password
        self._guarded = False

    @property
    def url(self) -> str:
        """Its address, with the password as addresses write it."""
        return f"redis://:{quote(self._password, safe='')}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it; the password is asked for from now on."""
        super().start()
        with self.client() as client:
            client.config_set("requirepass", self._password)
        self._guarded = True

    def client(self, **options: Any) -> redis.Redis:
        """A client that knows the password."""
        if self._guarded:
            options["password"] = self._password
        return super().client(**options)

    def written(self) -> bytes:
        """Every command that it has written down."""
        files = sorted(path for path in self.aof_dir.rglob("*") if path.is_file())
        return b"\n".join(path.read_bytes() for path in files)


class Watch:
    """What goes through a Redis and what lies in it, from its making until ``close``."""

    def __init__(self, valkey: GuardedValkey) -> None:
        # Its own five seconds are too short for a server that writes every command to the disk.
        self._client = valkey.client(socket_timeout=60)
        self._seen: set[bytes] = set()
        self._commands: list[bytes] = []
        self._over = threading.Event()
        self._monitor = socket.create_connection(("127.0.0.1", valkey.port))
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._listen, self._look)
        ]
        password = valkey._password.encode()
        # MONITOR shows what others publish too, which is written down nowhere.
        self._monitor.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(password), password))
        self._monitor.sendall(b"MONITOR\r\n")
        for thread in self._threads:
            thread.start()

    @property
    def commands(self) -> bytes:
        """Every command that any client sent, its arguments as they were."""
        return bytes(codecs.escape_decode(b"".join(self._commands))[0])

    @property
    def content(self) -> bytes:
        """Every key and value that lay there at some moment when it was looked at."""
        return b"\n".join(list(self._seen))

    def close(self) -> None:
        """Look a last time, and end."""
        self._over.set()
        self._threads[1].join()
        # The server ends it. With its reading side closed, what still comes would reset it.
        self._monitor.shutdown(socket.SHUT_WR)
        self._threads[0].join()
        self._monitor.close()
        self._client.close()

    def _listen(self) -> None:
        while data := self._monitor.recv(1 << 20):
            self._commands.append(data)

    def _look(self) -> None:
        while True:
            last = self._over.wait(0.2)
            for key in self._client.scan_iter(count=1000):
                self._seen |= {key, *self._values(key)}
            if last:
                return

    def _values(self, key: bytes) -> set[bytes]:
        read: dict[bytes, Any] = {
            b"string": lambda: [self._client.get(key)],
            b"list": lambda: self._client.lrange(key, 0, -1),
            b"set": lambda: self._client.smembers(key),
            b"zset": lambda: self._client.zrange(key, 0, -1),
            b"hash": lambda: [part for pair in self._client.hgetall(key).items() for part in pair],
        }
        kind = self._client.type(key)
        if kind == b"none":
            return set()
        # A key may go, and come again as another kind, between the two commands.
        with suppress(redis.ResponseError):
            return {value for value in read[kind]() if value is not None}
        return set()
