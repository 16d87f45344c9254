"""Requests whose addresses hold a secret: only the network sees those addresses.

httpx keeps a request in its errors and answers and logs its address. So the request that httpx
handles here names only the server. The real address replaces it at the last moment, below every
layer that remembers or logs.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx


class HiddenUrlTransport(httpx.BaseTransport):
    """Sends each request to its ``target`` extension instead of to its own address."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer of the target."""
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
        """Close the connections."""
        self._transport.close()


def hidden_request(
    http: httpx.Client, target: httpx.URL, headers: Mapping[str, str]
) -> httpx.Request:
    """Return a GET of the target that shows only its scheme, host and port."""
    return http.build_request(
        "GET",
        target.copy_with(raw_path=b"/", fragment=None),
        # The stored and resumed bytes are the file's own bytes, not a compression of them.
        headers={"Accept-Encoding": "identity", **headers},
        extensions={"target": target},
    )
