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


def enlarge_reads(response: httpx.Response) -> None:
    """Read the rest of a body in pieces of 1 MiB; without effect over another transport."""
    stream = response.extensions.get("network_stream")
    if isinstance(stream, _Stream):
        stream.reads.enlarge()


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
