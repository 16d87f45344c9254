"""Hosts of one deployment: each with a name, a clock, a spool and a copy of the settings of its
own; ledger, archive and Redis are shared.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .deployment import Deployment, Process

#: Run by Python itself before anything of ours: the machine's clock and name, as a process of this
#: host sees them. Monotonic clocks stay as they are, as they would.
_SITE = """
import datetime
import socket
import time

import time_machine

monotonic = time.monotonic()
shifted = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds={ahead})
time_machine.travel(shifted, tick=True).start()
assert time.monotonic() - monotonic < 60
socket.gethostname = lambda: {name!r}
"""


class Host(Deployment):
    """A host that shares ``house``'s ledger, archive and Redis, its clock ``ahead`` seconds."""

    def __init__(self, house: Deployment, name: str, ahead: float) -> None:
        folder = house.folder / name
        folder.mkdir()
        accounts = house.accounts_file.read_text()
        super().__init__(
            folder, house.valkey, accounts, ledger_url=house.ledger_url, settings=house.settings
        )
        self.name = name
        self.ahead = ahead
        self.archive = house.archive
        self._site = folder / "site"
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_SITE.format(ahead=ahead, name=name))
        self.processes = house.processes

    @property
    def environment(self) -> dict[str, str]:
        """As every process of this host sees it."""
        return {**super().environment, "PYTHONPATH": str(self._site)}

    def worker_of_it(self) -> Process:
        """Start this host's worker, and wait until it is ready."""
        return self.worker(self.name)

    def hooks(self) -> Process:
        """Start this host's receiver of notifications."""
        command = [sys.executable, "-m", "worker", "hooks"]
        process = Process(command, self.environment, self.folder / "hooks.log")
        self.processes.append(process)
        return process

    def parts(self) -> list[Path]:
        """What lies unfinished in its spool."""
        return sorted(self.spool.glob("zip-*.part"))
