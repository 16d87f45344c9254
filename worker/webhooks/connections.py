"""The receiver's connections: which are accepted, and which close where too many are open."""

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

#: For the ledger, the files of notifications and what is being refused.
_OWN_DESCRIPTORS = 64
#: Addresses outside every allowed network have no use but `/health`.
MOST_STRANGERS, MOST_OF_A_STRANGER = 16, 4
_TOLD_SECONDS = 60.0

Address = IPv4Address | IPv6Address


class _Stage(IntEnum):
    """How far a connection's request is: the earlier, the sooner it makes room."""

    HEADERS = 0
    BODY = 1
    ANSWER = 2


@dataclass(eq=False)
class _Seat:
    """An open connection."""

    stream: IOStream
    peer: Address | None
    is_stranger: bool
    stage: _Stage = _Stage.HEADERS
    since: float = field(default_factory=time.monotonic)

    def at(self, stage: _Stage) -> None:
        """The request has come this far."""
        self.stage, self.since = stage, time.monotonic()


class Server(HTTPServer):
    """Tornado's server, in which nobody can keep an honest sender out.

    Of an address outside every allowed network a few connections are taken, and of all such
    addresses together a few more; of one within, half of what this process may have. Where there is
    no room, the oldest connection that has not sent its headers is closed, then the oldest that has
    not sent its form; where all are being answered, the new one is.

    ``is_allowed`` says whether an address is in an allowed network.
    """

    is_allowed: Callable[[Address], bool]

    def initialize(self, *arguments: Any, **more: Any) -> None:
        """Tornado's constructor."""
        super().initialize(*arguments, **more)
        self._seats: dict[IOStream, _Seat] = {}
        self._told_at = float("-inf")

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        peer = address_of(address)
        is_stranger = peer is None or not self.is_allowed(peer)
        if self._has_room(peer, is_stranger=is_stranger):
            super()._handle_connection(connection, address)
        else:
            connection.close()

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """A connection is open."""
        peer = address_of(address)
        self._seats[stream] = _Seat(stream, peer, peer is None or not self.is_allowed(peer))
        super().handle_stream(stream, address)

    def start_request(self, server_conn: Any, request_conn: Any) -> HTTPMessageDelegate:
        """A connection waits for its next request."""
        seat = self._seats.get(server_conn.stream)
        delegate = super().start_request(server_conn, request_conn)
        if seat is None:
            return delegate
        seat.at(_Stage.HEADERS)
        return _Followed(delegate, seat)

    def on_close(self, server_conn: Any) -> None:
        """A connection is closed."""
        self._seats.pop(server_conn.stream, None)
        super().on_close(server_conn)

    def _has_room(self, peer: Address | None, *, is_stranger: bool) -> bool:
        """Whether the connection may be taken, another having made room for it where it must."""
        seats = self._seats.values()
        of_one = [seat for seat in seats if seat.peer == peer and seat.is_stranger == is_stranger]
        most = MOST_OF_A_STRANGER if is_stranger else max(_descriptors() // 2, 1)
        if len(of_one) >= most and not self._make_room(of_one):
            return False
        strangers = [seat for seat in seats if seat.is_stranger]
        if is_stranger and len(strangers) >= MOST_STRANGERS and not self._make_room(strangers):
            return False
        if len(seats) < _descriptors():
            return True
        # Strangers make room before anybody else does.
        return self._make_room(strangers) or (not is_stranger and self._make_room(seats))

    def _make_room(self, seats: Iterable[_Seat]) -> bool:
        """Close the oldest of those that have sent least; whether there was one."""
        waiting = [seat for seat in seats if seat.stage < _Stage.ANSWER]
        if time.monotonic() - self._told_at > _TOLD_SECONDS:
            self._told_at = time.monotonic()
            _log.warning(
                "as many connections are open as may be: others are closed, first the oldest that "
                "have not sent a whole request"
            )
        if not waiting:
            return False
        seat = min(waiting, key=lambda one: (one.stage, one.since))
        self._seats.pop(seat.stream, None)
        seat.stream.close()
        return True


class _Followed(HTTPMessageDelegate):
    """A request whose coming is noted on its connection's seat."""

    def __init__(self, delegate: HTTPMessageDelegate, seat: _Seat) -> None:
        self._delegate = delegate
        self._seat = seat

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Any:
        """Its headers have come."""
        self._seat.at(_Stage.BODY)
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        """A piece of its form has come."""
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        """It has come whole."""
        self._seat.at(_Stage.ANSWER)
        self._delegate.finish()

    def on_connection_close(self) -> None:
        """Its sender has given up."""
        self._delegate.on_connection_close()


def address_of(address: Any) -> Address | None:
    """The address of a peer, an IPv4 one also where it comes mapped into IPv6; None for what is
    none.
    """
    text = address[0] if isinstance(address, tuple) and address else address
    try:
        found = ip_address(str(text).partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _descriptors() -> int:
    """How many open files this process may have, without those that it needs for itself."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OWN_DESCRIPTORS
