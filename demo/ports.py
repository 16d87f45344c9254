"""Ports of this machine for servers."""

from __future__ import annotations

import secrets
import socket

#: Below the range from which Linux takes the ports of outgoing connections: no client takes the
#: port of a server that is about to start, or to start again.
PORTS = range(15_000, 32_000)


def is_free(port: int) -> bool:
    """Return whether nothing listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port of `PORTS` on which nothing listens."""
    return next(port for port in iter(lambda: secrets.choice(PORTS), 0) if is_free(port))
