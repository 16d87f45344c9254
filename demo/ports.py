"""Ports of this machine for servers."""

from __future__ import annotations

import secrets
import socket

#: Below the range from which Linux takes the ports of outgoing connections: no client takes the
#: port of a server that is about to start, or to start again.
PORTS = range(15_000, 31_000)
#: The demo's own, in the same place. Tests share `PORTS` among their processes: a demo that runs
#: beside them takes none that one of them has chosen and not opened yet.
_DEMO_PORTS = range(31_000, 32_000)


def is_free(port: int) -> bool:
    """Return whether a server can listen on this port of 127.0.0.1.

    The look itself must not take the port away: a program that another thread starts meanwhile
    holds a copy of the probing socket for a moment. So the probe allows others its port, as servers
    do.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port for the demo, on which nothing listens."""
    return next(port for port in iter(lambda: secrets.choice(_DEMO_PORTS), 0) if is_free(port))
