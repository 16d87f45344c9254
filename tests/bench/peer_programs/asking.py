"""What every peer does: one request to the provider. Each peer runs in the peers' environment."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

SLOTS = int(os.environ["PEER_SLOTS"])
URL = os.environ["PEER_CALL_URL"]

_UNLIMITED = httpx.Limits(max_connections=None)
_client: httpx.Client | None = None
_async_client: httpx.AsyncClient | None = None


def ask() -> Any:
    """Place one call and return the provider's answer."""
    global _client  # noqa: PLW0603 - one client a process, made after a fork
    if _client is None:
        _client = httpx.Client(trust_env=False, limits=_UNLIMITED)
    return _client.get(URL).raise_for_status().json()


async def ask_async() -> Any:
    """Place one call from an event loop and return the provider's answer."""
    global _async_client  # noqa: PLW0603 - one client a process
    if _async_client is None:
        _async_client = httpx.AsyncClient(trust_env=False, limits=_UNLIMITED)
    return (await _async_client.get(URL)).raise_for_status().json()


def send_on_request(send: Callable[[], object], finished: Callable[[], int]) -> None:
    """Read numbers from standard input; send so many jobs and print the seconds until all of them
    have finished, and how many finished.

    ``finished`` returns how many jobs of this peer have ever finished.
    """
    for line in sys.stdin:
        before, count = finished(), int(line)
        began = time.perf_counter()
        for _ in range(count):
            send()
        until = time.monotonic() + 600
        while (done := finished() - before) < count and time.monotonic() < until:
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        sys.stdout.write(json.dumps({"seconds": seconds, "finished": done}) + "\n")
        sys.stdout.flush()
