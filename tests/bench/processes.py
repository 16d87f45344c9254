"""What processes use: CPU, memory, and the CPU of a command until its first line."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.deployment import ROOT

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(*pids: int) -> float:
    """Return the CPU seconds of processes, their children, and the children that have ended."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


class PeakMemory:
    """How far a process' resident memory rises above what it was at the start. Linux only."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        (self._folder / "clear_refs").write_text("5")  # forgets the peak so far
        self._before = self._status("VmRSS")

    def growth(self) -> float:
        """Return the growth until now at its peak, in MB."""
        return (self._status("VmHWM") - self._before) / 1e6

    def _status(self, name: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"the system does not tell {name}")


def cpu_to_first_line(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return the CPU seconds that a command uses until its first line of output is there."""
    with subprocess.Popen(
        list(command), cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        # Read before the process is waited for: an ended one keeps its figures until then.
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        process.stdout.read()
    assert line, f"{' '.join(command)} printed nothing and ended with {process.returncode}"
    return (int(fields[11]) + int(fields[12])) / _TICKS
