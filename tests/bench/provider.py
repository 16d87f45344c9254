"""The provider of the benchmarks of calls, as a process of its own: it accepts every certified call
after a fixed time and costs little CPU, so that it limits no worker.

``python -m tests.bench.provider SECONDS`` prints its address. ``GET /_calls`` tells how many calls
came, and ``/_arrivals`` when the first byte of each came, in seconds of the monotonic clock that
all processes of the machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.deployment import ROOT

_BODY = b'{"status":"OK","phone":34900100100}'


class _Connection(asyncio.Protocol):
    """One connection: it reads requests without a body and answers each after a while."""

    def __init__(self, seconds: float, arrivals: list[float]) -> None:
        self._seconds = seconds
        self._arrivals = arrivals
        self._read = b""
        self._began = 0.0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what came; answer each whole request."""
        if not self._read:
            self._began = time.monotonic()
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            self._request(head.split(b" ", 2)[1])

    def _request(self, path: bytes) -> None:
        if path == b"/_calls":
            self._answer(json.dumps(len(self._arrivals)).encode())
        elif path == b"/_arrivals":
            self._answer(json.dumps(self._arrivals).encode())
        else:
            self._arrivals.append(self._began)
            asyncio.get_running_loop().call_later(self._seconds, self._answer, _BODY)

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


class Provider:
    """The provider, as the benchmarks see it."""

    def __init__(self, url: str) -> None:
        self.url = url
        #: The request that our client makes for a call, for peers.
        self.call_url = f"{url}/services/sendCertifiedCallRecorder.php?user=bench&pass=a-password"

    def account(self) -> dict[str, Any]:
        """Return an account as a section of accounts.toml."""
        return {
            "provider": "gsmblockchain",
            "base_url": self.url,
            "username": "bench",
            "password": "a-password",
            "timezone": "Europe/Madrid",
            "max_calls_per_day": 10_000_000,
            "countries": ["ES"],
            "max_seconds_per_call": 900,
        }

    def calls(self) -> int:
        """Return how many calls have come."""
        return int(self._get("_calls"))

    def arrivals(self) -> list[float]:
        """Return when each call's first byte came."""
        return list(self._get("_arrivals"))

    def _get(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/{path}", timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def answering_after(seconds: float) -> Iterator[Provider]:
    """Run a provider for as long as the context lasts."""
    command = [sys.executable, "-m", "tests.bench.provider", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Provider(process.stdout.readline().strip())
        finally:
            process.terminate()


async def _serve(seconds: float) -> None:
    arrivals: list[float] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(seconds, arrivals), "127.0.0.1", 0, backlog=4096
    )
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(float(sys.argv[1])))
