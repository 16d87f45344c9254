"""systemd: real notifications of ready, alive and stopping, and units that pass its own checks."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.settings import ROOT
from worker.health.service_manager import is_stuck, notify

from .deployment import Deployment, Process
from .ozeki_house import ozeki_house
from .simulators import Simulators
from .waiting import eventually

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


class Manager:
    """What systemd hears of one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def hears(self, state: str) -> bool:
        """Whether a state came since the last call with it."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                break
        if state not in self.heard:
            return False
        del self.heard[: self.heard.index(state) + 1]
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A socket such as systemd gives to a unit."""
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def test_every_process_notifies_its_manager(
    deploy: Callable[..., Deployment], simulators: Simulators, manager: Manager
) -> None:
    """Worker, beat and receiver are ready, feed the watchdog, and say when they stop."""
    house = ozeki_house(deploy, simulators).house
    house.surroundings["NOTIFY_SOCKET"] = str(manager.path)

    def hooks() -> Process:
        command = [sys.executable, "-m", "worker", "hooks"]
        return Process(command, house.environment, house.folder / "hooks.log")

    for start in (house.worker, house.beat, hooks):
        process = start()
        house.processes.append(process)
        eventually(lambda: manager.hears("READY=1"), what="not ready")
        eventually(lambda: manager.hears("WATCHDOG=1"), what="the watchdog was not fed")
        process.stop()
        eventually(lambda: manager.hears("STOPPING=1"), what="did not say that it stops")
        manager.heard.clear()


def test_a_stuck_process_starves_the_watchdog() -> None:
    """One that did nothing for a minute, unless Redis was away meanwhile: no restart helps then."""
    now = time.monotonic()
    assert not is_stuck(now - 5, None)
    assert is_stuck(now - 70, None)
    assert is_stuck(now - 700, now - 600)
    assert not is_stuck(now - 700, now - 5)


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody-listens"])
def test_a_manager_that_does_not_listen_is_ignored(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Whatever NOTIFY_SOCKET is, the process continues."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_pass_systemd_s_checks(unit: Path, tmp_path: Path) -> None:
    """``systemd-analyze verify`` finds nothing wrong, and ``security`` an exposure under 3."""
    assert ANALYZE is not None
    rating = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=30", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rating.returncode == 0, rating.stdout[-500:]
    # Its program and folder are not on this machine.
    copy = tmp_path / unit.name.replace("@.", "@one.")
    text = re.sub(r"/opt/earwitness/\.venv/bin/\w+", "/bin/true", unit.read_text())
    copy.write_text(text.replace("=/opt/earwitness\n", "=/\n"))
    verified = subprocess.run(
        [ANALYZE, "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    assert copy.name not in verified.stderr, verified.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_bound_what_they_use(unit: Path) -> None:
    """Memory, files and threads have limits, and a process that notifies has a watchdog."""
    text = unit.read_text()
    for name in ("MemoryMax", "LimitNOFILE", "TasksMax", "ExecReload"):
        assert f"\n{name}=" in text
    assert ("Type=notify" in text) == ("WatchdogSec=" in text)
