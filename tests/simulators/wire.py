"""Puts an answer on a socket, whole or as a fault wants it: slow, cut, frozen, reset."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from http.client import responses

from .messages import Reply

#: How long a peer that reads slowly is waited for before its connection is reset.
_PATIENCE_SECONDS = 20.0


class Severed(Exception):
    """The connection ends here, by the simulator's wish; `how` is for the log."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


@dataclass
class Delivery:
    """How an answer travels. Rates in body bytes per second, times in seconds.

    `cut_how`: "broken" (the framing is left unfinished, then FIN), "clean" (fewer bytes under
    correct framing), "close-delimited" (no length, no chunks: the end looks like a whole
    answer) or "reset" (RST). `trickle_part`: "headers", "body" or "all".
    """

    clock_offset: float = 0.0
    bytes_per_second: float | None = None
    #: The rate where `bytes_per_second` is none; a change of it counts for what is under way.
    pace: Callable[[], float | None] = lambda: None
    cut_after: int | None = None
    cut_how: str = "broken"
    freeze_after: int | None = None
    freeze_seconds: float = 0.0
    trickle_seconds: float | None = None
    trickle_part: str = "body"

    def rate(self) -> float | None:
        """Body bytes per second from now on."""
        return self.pace() if self.bytes_per_second is None else self.bytes_per_second


class Wire:
    """One connection of the server."""

    def __init__(self, connection: socket.socket, stopping: threading.Event) -> None:
        self._connection = connection
        self._stopping = stopping

    def wait(self, seconds: float) -> None:
        """Sleeps, but no longer than the server lives."""
        if self._stopping.wait(seconds):
            raise Severed("simulator stopped")

    def reset(self) -> None:
        """Makes the close that follows a RST, after what was sent has left this host."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline and _unsent(self._connection):
            if self._stopping.wait(0.002):
                break
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def send(self, reply: Reply, delivery: Delivery, on_sent: Callable[[int], None]) -> None:
        """Sends the answer; `on_sent` hears of body bytes as they are handed to the kernel.

        Raises Severed where the delivery ends the connection, OSError where the peer did.
        """
        start, end = reply.start, reply.end
        stop = end if delivery.cut_after is None else min(end, start + delivery.cut_after)
        cut = stop < end
        how = delivery.cut_how if cut else ""
        framing = "close" if how == "close-delimited" else reply.framing
        announced = (stop if how == "clean" else end) - start
        self._head(reply, framing, announced, delivery)
        if reply.status == 204:
            return
        for piece in self._paced(reply, start, stop, delivery):
            self._connection.sendall(_framed(piece) if framing == "chunked" else piece)
            on_sent(len(piece))
        if how in ("broken", "reset"):
            self._sever(how)
        if framing == "chunked":
            self._connection.sendall(b"0\r\n\r\n")
        if framing == "close":
            raise Severed("cut: close-delimited")

    def _sever(self, how: str) -> None:
        if how == "reset":
            self.reset()
        raise Severed(f"cut: {how}")

    def _head(self, reply: Reply, framing: str, length: int, delivery: Delivery) -> None:
        fields = headers(reply, delivery)
        if framing == "chunked":
            fields["Transfer-Encoding"] = "chunked"
        elif framing == "close":
            fields["Connection"] = "close"
        elif reply.status != 204:
            fields["Content-Length"] = str(length)
        lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        if delivery.trickle_seconds is None or delivery.trickle_part == "body":
            self._connection.sendall(head)
            return
        for byte in head:
            self._connection.sendall(bytes([byte]))
            self.wait(delivery.trickle_seconds)

    def _paced(self, reply: Reply, start: int, stop: int, delivery: Delivery) -> Iterator[bytes]:
        """The body's pieces, each after the pause that the delivery asks for."""
        trickled = delivery.trickle_seconds is not None and delivery.trickle_part != "headers"
        rate = delivery.rate()
        largest = 1 if trickled else 1 << 30 if rate is None else max(1, int(rate / 20))
        frozen_at = None if delivery.freeze_after is None else start + delivery.freeze_after
        at, due = start, time.monotonic()
        for block in reply.body.read(start, stop):
            for piece in _split(block, at, largest, frozen_at):
                if at == frozen_at:
                    self.wait(delivery.freeze_seconds)
                yield piece
                at += len(piece)
                if trickled:
                    self.wait(delivery.trickle_seconds or 0)
                elif (rate := delivery.rate()) is not None:
                    due = max(due, time.monotonic() - 0.05) + len(piece) / rate
                    self.wait(max(0.0, due - time.monotonic()))
        if at == frozen_at:
            self.wait(delivery.freeze_seconds)


def headers(reply: Reply, delivery: Delivery) -> dict[str, str]:
    """An answer's headers, but for those of its framing."""
    return {
        "Server": "earwitness-simulator",
        "Date": formatdate(time.time() + delivery.clock_offset, usegmt=True),
        **reply.headers,
    }


def _split(block: bytes, at: int, largest: int, boundary: int | None) -> Iterator[bytes]:
    """Pieces of at most `largest` bytes, none of which crosses the boundary."""
    if len(block) <= largest and (boundary is None or not at < boundary < at + len(block)):
        yield block
        return
    position = 0
    while position < len(block):
        size = min(largest, len(block) - position)
        if boundary is not None and at + position < boundary:
            size = min(size, boundary - at - position)
        yield block[position : position + size]
        position += size


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def _unsent(connection: socket.socket) -> int:
    """Bytes in the send buffer that the peer has not acknowledged."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])
