"""A real Chromium, driven over its own protocol: https://chromedevtools.github.io/devtools-protocol/"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .waiting import LOADED_SECONDS, eventually

_PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(
    _PROGRAM is None, reason="Chromium is not installed (Debian: chromium)"
)
#: Chromium's sandbox needs rights that a container rarely has.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
_LONGEST_MESSAGE = 64 << 20


class Page:
    """One page of the browser, as wide as a test says."""

    def __init__(self, runner: asyncio.Runner, address: str, *, width: int, height: int) -> None:
        self._runner = runner
        self._socket = runner.run(_connected(address))
        self._number = 0
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.tell("Emulation.setDeviceMetricsOverride", **size)

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol; what it answers."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        return self._runner.run(asyncio.wait_for(self._answer(asked), 60))

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        await self._socket.write_message(json.dumps(asked))
        while True:
            told = json.loads(await self._socket.read_message() or "{}")
            if told.get("id") == asked["id"]:
                assert "error" not in told, told
                return dict(told["result"])

    def open(self, address: str) -> None:
        """Open an address, once its own scripts have run."""
        self.tell("Page.navigate", url=address)
        eventually(
            lambda: self.value(
                f"document.readyState == 'complete' && location.href == '{address}'"
            ),
            what=f"{address} was not shown",
        )

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is in the page."""
        told = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        told = self.tell("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(told["data"]))

    def close(self) -> None:
        self._runner.run(self._closed())

    async def _closed(self) -> None:
        self._socket.close()
        while await self._socket.read_message() is not None:
            pass


async def _connected(address: str) -> WebSocketClientConnection:
    return await websocket_connect(address, max_message_size=_LONGEST_MESSAGE)


@contextmanager
def page(folder: Path, *, width: int, height: int = 900) -> Iterator[Page]:
    """A page in a browser of its own, whose profile lies in the folder."""
    assert _PROGRAM is not None
    command = [_PROGRAM, *_OPTIONS, "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    with subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            port = eventually(lambda: _port(folder), what="Chromium did not start")
            tab = eventually(lambda: _tab(port), what="Chromium shows no page")
            with asyncio.Runner() as runner:
                shown = Page(runner, tab, width=width, height=height)
                try:
                    yield shown
                finally:
                    shown.close()
        finally:
            process.terminate()


def _tab(port: str) -> str | None:
    """The address of the browser's first page, which it opens after it has begun to listen."""
    address = f"http://127.0.0.1:{port}/json/list"
    found = httpx.get(address, trust_env=False, timeout=LOADED_SECONDS).json()
    pages = (one["webSocketDebuggerUrl"] for one in found if one["type"] == "page")
    return next(pages, None)


def _port(folder: Path) -> str | None:
    told = folder / "DevToolsActivePort"
    return told.read_text().split("\n")[0] if told.is_file() else None
