"""Notifications to systemd: ready, alive, stopping (sd_notify(3)).

systemd names a socket in NOTIFY_SOCKET for units of ``Type=notify``. Without the variable nothing
is sent, and nothing here ever fails: a process must not end because systemd does not listen.
"""

from __future__ import annotations

import os
import socket
import time

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
#: While a process starts, it asks for so many further seconds with every heartbeat.
STARTING = "EXTEND_TIMEOUT_USEC=60000000"
#: After so many seconds without work, although Redis answers, the watchdog is not fed any more.
_STUCK_SECONDS = 60.0


def notify(state: str) -> None:
    """Send a state to systemd, if it started this process and wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), address)
    except OSError:
        pass


def is_stuck(worked_at: float, redis_away_at: float | None) -> bool:
    """Return whether a process has done no work for long, and Redis is not the reason.

    Times are in seconds of the monotonic clock. A restart does not bring Redis back.
    """
    now = time.monotonic()
    is_away = redis_away_at is not None and now - redis_away_at < _STUCK_SECONDS
    return now - worked_at > _STUCK_SECONDS and not is_away
