"""Memory stays flat, whatever an export's size: measured over the worker's whole process tree."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psutil
import pytest

from .deployment import Deployment, Process, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
MIB = 1 << 20
ALLOWED = 64 * MIB
Deploy = Callable[..., Deployment]


class Peak:
    """The largest resident memory of a process and its children since the watch began."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.idle = self._now()
        self.highest = self.idle

    def _now(self) -> int:
        total = 0
        for one in [self._process, *self._process.children(recursive=True)]:
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    @property
    def above_idle(self) -> int:
        return self.highest - self.idle

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look twenty times a second until the end of the block."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.05):
                self.highest = max(self.highest, self._now())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def archived(house: Deployment, alias: str, within: float) -> dict[str, int]:
    """The result of the day's export, asked for as a caller would."""
    with house.producer() as app:
        run = house.send(app, "export.run", account=alias, day=DAY.isoformat())
        return dict(run.get(timeout=within))


@pytest.mark.parametrize(
    ("large", "members"),
    [
        pytest.param([300 * MIB, 40 * MIB], 3_000, id="small"),
        pytest.param(
            [(4 << 30) + 5 * MIB, 20 * MIB],
            70_000,
            id="large",
            marks=[pytest.mark.soak, pytest.mark.timeout(900)],
        ),
    ],
)
def test_an_export_of_any_size_takes_little_memory(
    deploy: Deploy, simulators: Simulators, large: list[int], members: int
) -> None:
    """Gigabytes, incompressible and stored, one member over 4 GiB, and another export of 70,000
    members: the whole process tree takes at most 64 MB more than when it is idle.
    """
    accounts = {}
    for alias in ("warm", "large", "many"):
        accounts[alias] = simulators.vonage.account(username=f"{alias}@vbc.prod")
    accounts["warm"].seed(DAY, ZONE, 2)
    for size in large:
        accounts["large"].seed(DAY, ZONE, 1, size_bytes=size)
    accounts["many"].seed(DAY, ZONE, members)
    simulators.vonage.configure(ready_after_polls=0)
    sections = [account_toml(name, one.configuration(), {}) for name, one in accounts.items()]
    house = deploy("\n".join(sections), settings={"LEASE_SECONDS": "10"})
    worker: Process = house.worker()
    archived(house, "warm", within=60)
    peak = Peak(psutil.Process(worker.pid))
    with peak.watched():
        assert archived(house, "large", within=600)["archived"] == len(large)
        assert archived(house, "many", within=600)["archived"] == members
    assert peak.above_idle <= ALLOWED, f"{peak.above_idle / MIB:.0f} MiB above idle"


def test_the_same_check_fails_at_a_deliberate_read(tmp_path: Path) -> None:
    """The measure measures: a process that reads a large file in one piece is far above idle."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(MIB))
    program = (
        "import sys; print(flush=True); sys.stdin.readline(); "
        "data = open(sys.argv[1], 'rb').read(); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", program, str(large)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        peak = Peak(psutil.Process(process.pid))
        with peak.watched():
            process.stdin.write(b"\n")
            process.stdin.flush()
            eventually(lambda: peak.above_idle > ALLOWED, what="the read was not seen")
        process.kill()
