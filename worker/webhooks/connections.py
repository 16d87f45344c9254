"""The receiver's connections: which are accepted, and which are closed when too many are open."""

from __future__ import annotations

import logging
import resource
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream

_log = logging.getLogger(__name__)

#: For the ledger, the files of notifications and connections that are being refused.
_RESERVED_DESCRIPTORS = 64
#: Addresses outside every allowed network only need `/health`.
MAX_STRANGERS, MAX_PER_STRANGER = 16, 4
_LOG_SECONDS = 60.0

Address = IPv4Address | IPv6Address


class _Stage(IntEnum):
    """The progress of a connection's request; earlier stages make room first."""

    HEADERS = 0
    BODY = 1
    ANSWER = 2


@dataclass(eq=False)
class _Seat:
    """An open connection and the progress of its request."""

    stream: IOStream
    peer: Address | None
    is_stranger: bool
    stage: _Stage = _Stage.HEADERS
    since: float = field(default_factory=time.monotonic)

    def at(self, stage: _Stage) -> None:
        """Note that the request has reached a stage."""
        self.stage, self.since = stage, time.monotonic()


class Server(HTTPServer):
    """Tornado's server with limits, so that no sender can lock out another.

    An address in an allowed network may use half of the process' connections. Addresses outside are
    limited one by one (``MAX_PER_STRANGER``) and together (``MAX_STRANGERS``). When there is no
    room, the server closes the oldest connection that has not sent its headers, then the oldest
    that has not sent its form. If all are being answered, it closes the new connection.

    ``is_allowed`` returns whether an address is in an allowed network.
    """

    is_allowed: Callable[[Address], bool]

    def initialize(self, *arguments: Any, **more: Any) -> None:
        """Tornado's constructor."""
        super().initialize(*arguments, **more)
        self._seats: dict[IOStream, _Seat] = {}
        self._logged_at = float("-inf")

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        peer = address_of(address)
        is_stranger = peer is None or not self.is_allowed(peer)
        if self._has_room(peer, is_stranger=is_stranger):
            super()._handle_connection(connection, address)
        else:
            connection.close()

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Register an open connection."""
        peer = address_of(address)
        self._seats[stream] = _Seat(stream, peer, peer is None or not self.is_allowed(peer))
        super().handle_stream(stream, address)

    def start_request(self, server_conn: Any, request_conn: Any) -> HTTPMessageDelegate:
        """Track the next request of a connection."""
        seat = self._seats.get(server_conn.stream)
        delegate = super().start_request(server_conn, request_conn)
        if seat is None:
            return delegate
        seat.at(_Stage.HEADERS)
        return _StageTracker(delegate, seat)

    def on_close(self, server_conn: Any) -> None:
        """Forget a closed connection."""
        self._seats.pop(server_conn.stream, None)
        super().on_close(server_conn)

    def _has_room(self, peer: Address | None, *, is_stranger: bool) -> bool:
        """Return whether a new connection may be accepted; close another one if necessary."""
        seats = self._seats.values()
        of_one = [seat for seat in seats if seat.peer == peer and seat.is_stranger == is_stranger]
        most = MAX_PER_STRANGER if is_stranger else max(_max_connections() // 2, 1)
        if len(of_one) >= most and not self._make_room(of_one):
            return False
        strangers = [seat for seat in seats if seat.is_stranger]
        if is_stranger and len(strangers) >= MAX_STRANGERS and not self._make_room(strangers):
            return False
        if len(seats) < _max_connections():
            return True
        # Strangers make room first.
        return self._make_room(strangers) or (not is_stranger and self._make_room(seats))

    def _make_room(self, seats: Iterable[_Seat]) -> bool:
        """Close the oldest connection of the earliest stage; return whether there was one."""
        waiting = [seat for seat in seats if seat.stage < _Stage.ANSWER]
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._logged_at = time.monotonic()
            _log.warning(
                "the limit of open connections is reached: some are closed, starting with the "
                "oldest that have not sent a complete request"
            )
        if not waiting:
            return False
        seat = min(waiting, key=lambda one: (one.stage, one.since))
        self._seats.pop(seat.stream, None)
        seat.stream.close()
        return True


class _StageTracker(HTTPMessageDelegate):
    """Notes the progress of a request on its connection's seat."""

    def __init__(self, delegate: HTTPMessageDelegate, seat: _Seat) -> None:
        self._delegate = delegate
        self._seat = seat

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Any:
        """Note that the headers have arrived."""
        self._seat.at(_Stage.BODY)
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        """Pass on a piece of the form."""
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        """Note that the whole request has arrived."""
        self._seat.at(_Stage.ANSWER)
        self._delegate.finish()

    def on_connection_close(self) -> None:
        """Pass on that the sender has given up."""
        self._delegate.on_connection_close()


def address_of(address: Any) -> Address | None:
    """Return the IP address of a peer, None if it has none; unmap IPv4 from IPv6."""
    text = address[0] if isinstance(address, tuple) and address else address
    try:
        found = ip_address(str(text).partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _max_connections() -> int:
    """Return how many connections the process may have open besides its own files."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _RESERVED_DESCRIPTORS
