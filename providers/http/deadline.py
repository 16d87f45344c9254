"""A total deadline for one HTTP call, not only a timeout between two bytes.

httpx's timeouts start again with every byte: a server that sends one byte in 29 seconds could hold
a call for ever. Here every network step gets the rest of the call's total time.
"""

from __future__ import annotations

import functools
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from .large_reads import LargeReads

#: See `Transport`.
Judge = Callable[[str, list[str]], None]

#: What a read asks for at least.
_READ_BYTES = 64 * 1024

#: With more than this left of a body, copying the rest costs more than a new connection.
_LARGE_REST = 1 << 20

_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit all calls inside that use a ``Transport`` to ``seconds`` in total.

    After the deadline httpx raises the timeout of the current step. A nested deadline can only
    shorten the time. The lookup of a host name is the one step outside the deadline: the system's
    resolver has its own timeout.
    """
    until = time.monotonic() + seconds
    outer = _until.get()
    token = _until.set(until if outer is None else min(until, outer))
    try:
        yield
    finally:
        _until.reset(token)


def is_over() -> bool:
    """Return whether the deadline of the enclosing `within` has passed."""
    until = _until.get()
    return until is not None and time.monotonic() >= until


def connect(address: str, *, verify: bool, seconds: float) -> None:
    """Open a connection as a request to this address would, and close it; send no byte of a
    request. Raises httpcore.ConnectError and httpcore.ConnectTimeout.
    """
    url = httpx.URL(address)
    host, secure = url.raw_host.decode(), url.scheme == "https"
    with within(seconds):
        stream = _Backend(httpcore.SyncBackend()).connect_tcp(
            host, url.port or (443 if secure else 80)
        )
        try:
            if secure:
                stream = stream.start_tls(_tls(verify), host)
        finally:
            stream.close()


class Transport(httpx.HTTPTransport):
    """httpx's own transport with the deadline, without retries and without the environment's
    proxies.

    ``judge`` is called with a host's name and all its addresses before a connection to any of them
    is opened, and raises an exception to forbid the connection. The connection uses the judged
    addresses: the name is not looked up again in between.
    """

    def __init__(self, *, verify: bool = True, judge: Judge | None = None) -> None:
        super().__init__(verify=_tls(verify), trust_env=False, retries=0)
        # httpx has no parameter for httpcore's network backend; tests/test_deadline.py fails if
        # this stops working.
        pool = self._pool
        pool._network_backend = _Backend(pool._network_backend, judge)  # noqa: SLF001


def large_pieces(response: httpx.Response, length: int | None) -> Iterator[bytes]:
    """Yield a body that is not chunked as its bytes arrive, up to 1 MiB at a time.

    If more than 1 MiB of its Content-Length is left after the first piece, the rest comes from the
    connection itself: h11 and httpcore would copy each byte four times. The connection then serves
    no further request; closing the response closes it. After a smaller body the connection can
    serve the next request. Raises what httpx raises. Bodies of another transport
    come through httpx alone.
    """
    connection = response.extensions.get("network_stream")
    stream = connection if isinstance(connection, _Stream) else None
    if stream is not None:
        stream.reads.enlarge()
    # The connection is closed with this iterator, which the loop keeps.
    is_first = True
    for piece in response.iter_raw():
        yield piece
        left = 0 if length is None or not is_first else length - len(piece)
        is_first = False
        if stream is not None and left > _LARGE_REST:
            yield from _rest(stream, response.request, left)
            return


def _rest(stream: _Stream, request: httpx.Request, left: int) -> Iterator[bytes]:
    timeout = request.extensions.get("timeout", {}).get("read")
    while left > 0:
        try:
            piece = stream.read(_READ_BYTES, timeout)[:left]
        except httpcore.ReadTimeout as error:
            raise httpx.ReadTimeout(str(error)) from None
        except httpcore.ReadError as error:
            raise httpx.ReadError(str(error)) from None
        if not piece:
            raise httpx.RemoteProtocolError("the connection was closed before the body's end")
        left -= len(piece)
        yield piece


@functools.cache
def _tls(verify: bool) -> ssl.SSLContext:
    """Return a TLS context. Certificates are read once (20 ms), not for every client."""
    return httpx.create_ssl_context(verify=verify, trust_env=False)


def _left(timeout: float | None, expired: type[Exception]) -> float | None:
    until = _until.get()
    if until is None:
        return timeout
    left = until - time.monotonic()
    if left <= 0:
        raise expired("the time for the request is over")
    return left if timeout is None else min(timeout, left)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, judge: Judge | None = None) -> None:
        self._inner = inner
        self._judge = judge

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Try a host's addresses in turn, within the remaining time. Python would give each address
        the whole time; here the addresses share the time, so that a dead IPv6 route leaves some for
        IPv4.
        """
        failure: Exception = httpcore.ConnectError("the host has no address")
        addresses = _addresses(host, port)
        if self._judge is not None:
            self._judge(host, addresses)
        for position, address in enumerate(addresses):
            left = _left(timeout, httpcore.ConnectTimeout)
            share = None if left is None else left / (len(addresses) - position)
            try:
                return _Stream(
                    self._inner.connect_tcp(address, port, share, local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # a name that no host can have raises UnicodeError
        raise httpcore.ConnectError("the host name could not be looked up") from None
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self.reads = LargeReads(inner)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.reads.read(max_bytes, timeout=_left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.reads.restrain()  # the answer to this request may be chunked
        self._inner.write(buffer, timeout=_left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._inner.start_tls(
                ssl_context, server_hostname, timeout=_left(timeout, httpcore.ConnectTimeout)
            )
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
