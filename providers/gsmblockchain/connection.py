"""One request on a connection of its own, whose first byte waits until the sending is recorded.

The transport is called without httpx's Client: the Client would log the whole address, with the
password in it, and could follow a redirect to a second call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from providers.http.content_coding import Unpackable, unpacked
from providers.http.deadline import Transport, is_over, within

from .account import GsmblockchainAccount

#: httpcore's event for an open connection of which no byte of the request has left.
_BEFORE_BYTES = "http11.send_request_headers.started"
#: The largest answer that is read, in bytes; the documented answer has fewer than a hundred.
MOST_BYTES = 1 << 16


class _Stopped(Exception):
    """Ends the sending inside httpcore, which would handle some other exceptions as its own."""


class Sending:
    """The course of one request.

    ``before_bytes`` is called at most once, see `Gsmblockchain.call`; ``stopped_by`` is the
    exception it raised and ``is_released`` whether it returned in time: otherwise nothing has left.
    ``status``, ``headers`` and ``body`` are the received answer; ``failure`` names the error that
    cut the answer off, None for a whole answer. The request is not kept, because it holds the
    password.
    """

    def __init__(self, before_bytes: Callable[[], None]) -> None:
        self._before_bytes = before_bytes
        self.is_released = False
        self.stopped_by: BaseException | None = None
        self.failure: str | None = None
        self.status: int | None = None
        self.headers = httpx.Headers()
        self.body = b""

    def send(
        self,
        request: httpx.Request,
        account: GsmblockchainAccount,
        transport: httpx.BaseTransport | None,
    ) -> None:
        """Send the request within the account's ``timeout_seconds``. Raises only exceptions outside
        Exception.
        """
        request.extensions = {
            "timeout": httpx.Timeout(account.timeout_seconds).as_dict(),
            "trace": self._trace,
        }
        try:
            with (
                within(account.timeout_seconds),
                transport or Transport(verify=account.verify_tls) as wire,
            ):
                self._read(wire.handle_request(request))
        except Exception as error:  # noqa: BLE001 - after any error the call may have been placed
            self.failure = self.failure or type(error).__name__

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        del info  # it holds the request, and the exception of before_bytes keeps this frame
        if event != _BEFORE_BYTES:
            return
        try:
            self._before_bytes()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller, unchanged
            self.stopped_by = error
        else:
            self.is_released = not is_over()
            if self.is_released:
                return
            self.failure = "no time was left for it"
        raise _Stopped

    def _read(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, response.headers
        try:
            for piece in unpacked(response):
                self.body += piece
                if len(self.body) > MOST_BYTES:
                    self.body = self.body[:MOST_BYTES]
                    self.failure = f"more than {MOST_BYTES >> 10} KiB"
                    return
        except Unpackable as error:
            self.failure = str(error)
        finally:
            response.close()
