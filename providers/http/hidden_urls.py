"""Requests whose addresses hold a secret: nothing outside the wire sees those addresses.

httpx keeps a request in its errors and answers and writes its address to its log. So the request
that httpx handles here is for the server alone, and the address that is really asked for is put in
its place at the last moment, below everything that remembers or logs.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx


class HiddenUrlTransport(httpx.BaseTransport):
    """Sends each request to its ``target`` extension instead of to its own address."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the target."""
        extensions = dict(request.extensions)
        return self._transport.handle_request(
            httpx.Request(
                request.method,
                extensions.pop("target"),
                headers=request.headers,
                extensions=extensions,
            )
        )

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()


def hidden_request(
    http: httpx.Client, target: httpx.URL, headers: Mapping[str, str]
) -> httpx.Request:
    """Make a GET of the target that shows its scheme, host and port only."""
    return http.build_request(
        "GET",
        target.copy_with(raw_path=b"/", fragment=None),
        # What is stored and resumed are the bytes themselves, not a compression of them.
        headers={"Accept-Encoding": "identity", **headers},
        extensions={"target": target},
    )
