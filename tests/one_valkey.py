"""One Valkey for each process that runs tests, lent to one test after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from kombu import pools

from .servers import Valkey
from .waiting import LOADED_SECONDS

#: Commands that change more of a server than its keys, as INFO names them.
_LASTING = ("acl|", "client|pause", "config|set", "debug", "failover", "function|", "replicaof")
#: It answers at once, unless a test left it in no state to be lent again.
_PATIENCE_SECONDS = 5.0


class OneValkey:
    """Lends an empty Valkey. One that a test stopped, killed, froze or configured is ended after
    the test, and the next test gets another one.
    """

    def __init__(self) -> None:
        self._idle: Valkey | None = None

    @contextmanager
    def lent(self) -> Iterator[Valkey]:
        """A Valkey for one test alone: without keys, connections and statistics of others."""
        server, self._idle = self._idle, None
        if server is None:
            server = Valkey()
            server.start()
        pid = server.pid
        lasting = _lasting(server, LOADED_SECONDS)
        try:
            yield server
            if _emptied(server, pid, lasting) and self._idle is None:
                self._idle, server = server, None
        finally:
            if server is not None:
                server.__exit__()

    def close(self) -> None:
        """End the one that nobody has at the moment."""
        if self._idle is not None:
            self._idle.__exit__()
            self._idle = None


def _emptied(server: Valkey, pid: int, lasting: dict[str, int]) -> bool:
    """Remove what a test left on its server; whether the server is as it was before the test."""
    if server.frozen:
        return False
    _forget_pooled_connections(server.port)
    try:
        with server.client(socket_timeout=_PATIENCE_SECONDS) as client:
            if (
                client.info("server")["process_id"] != pid
                or _lasting(server, _PATIENCE_SECONDS) != lasting
            ):
                return False
            # Connections first: what they have sent is then not read after their keys are removed.
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            client.flushall()
            client.script_flush()
            client.config_resetstat()
    except redis.RedisError:
        return False
    return True


def _lasting(server: Valkey, patience: float) -> dict[str, int]:
    """How often the commands that change a server for good were called on it."""
    with server.client(socket_timeout=patience) as client:
        stats = client.info("commandstats")
    names = {name: name.removeprefix("cmdstat_") for name in stats}
    return {name: stats[full]["calls"] for full, name in names.items() if name.startswith(_LASTING)}


def _forget_pooled_connections(port: int) -> None:
    """Close kombu's pools for a server: they would hand its dead connections to the next test."""
    for group in (pools.connections, pools.producers):
        for key, pool in list(group.items()):
            connection = getattr(pool, "connections", pool).connection
            if connection.port == port:
                pool.force_close_all()
                dict.pop(group, key)
