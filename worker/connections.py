"""The receiver's connections: never so many that it has no descriptor left for its own work."""

from __future__ import annotations

import logging
import resource
import socket
import time
from typing import Any

from tornado.httpserver import HTTPServer

_log = logging.getLogger(__name__)

#: For the ledger, the files of notifications and what is being refused.
_OWN_DESCRIPTORS = 64
_TOLD_SECONDS = 60.0


class Server(HTTPServer):
    """Tornado's server, which closes a connection too many at once: with no descriptor left it
    would try to accept it again and again, as fast as it can, and write a line for each.
    """

    _told_at = float("-inf")

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        if connection.fileno() < _descriptors():
            super()._handle_connection(connection, address)
            return
        connection.close()
        if time.monotonic() - self._told_at > _TOLD_SECONDS:
            self._told_at = time.monotonic()
            _log.warning("as many connections are open as this process may have: others are closed")


def _descriptors() -> int:
    """How many open files this process may have, without those that it needs for itself."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OWN_DESCRIPTORS
