"""Simulators that run in another process, with the methods of those that run in this one."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .doors import VonageDoor
from .gsmblockchain_door import GsmblockchainDoor
from .log import Records
from .ozeki_door import OzekiDoor
from .voipnow_door import VoipnowDoor

ROOT = Path(__file__).parents[2]
SECONDS = 60.0


class Remote:
    """Simulators under an address: the providers and `log` as with `Simulators`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.vonage = VonageDoor(self.url, partial(self._call, "vonage"))
        self.gsmblockchain = GsmblockchainDoor(self.url, partial(self._call, "gsmblockchain"))
        self.ozeki = OzekiDoor(partial(self._call, "ozeki"))
        self.voipnow = VoipnowDoor(self.url, partial(self._call, "voipnow"))

    @property
    def log(self) -> Records:
        """Everything that has happened until now."""
        return Records(self._http("log", None))

    def _call(self, provider: str, method: str, arguments: dict[str, Any]) -> Any:
        return self._http(f"{provider}/{method}", json.dumps(arguments).encode())

    def _http(self, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"{self.url}/_simulator/{path}", body)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                raise ValueError(json.load(refused)["error"]) from refused


@contextlib.contextmanager
def running(data: Path) -> Iterator[Remote]:
    """Simulators in a process of their own, for as long as the context lasts. The log is in
    `data`/log.jsonl and stays there.
    """
    command = [sys.executable, "-m", "tests.simulators", "--data", str(data)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Remote(process.stdout.readline().split()[-1])
        finally:
            process.terminate()
