"""Ports of this machine for servers."""

from __future__ import annotations

import itertools
import secrets
import socket

#: The demo's own, below the range from which Linux takes the ports of outgoing connections: no
#: client takes the port of a server that is about to start, or to start again.
PORTS = range(24_000, 32_000)


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


def free_ports(count: int) -> list[int]:
    """Return so many different ports of `PORTS` on which nothing listens."""
    shuffled = secrets.SystemRandom().sample(PORTS, len(PORTS))
    return list(itertools.islice(filter(is_free, shuffled), count))
