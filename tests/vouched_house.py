"""A house that has archived one of everything, for tests of what its archive loses afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from celery import Celery

from ledger.days import Day

from .certified_calls import CallHouse
from .deployment import Deployment, Process, account_toml
from .recent_days import TODAY
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]
#: That of an account without nights.
ZONE = "UTC"
#: Days that nothing exports by itself.
FIRST, SECOND = TODAY - timedelta(days=6), TODAY - timedelta(days=4)
WHO = ("--by", "ana", "--note", "the disk was lost")


class VouchedHouse:
    """Accounts ``india`` with days and a download, and ``legal`` with a call."""

    def __init__(self, deploy: Deploy, simulators: Simulators, **options: Any) -> None:
        self.india, platform = simulators.vonage.account(), simulators.gsmblockchain.account()
        self.india.configure(ready_after_polls=0)
        for day in (FIRST, SECOND):
            self.india.seed(day, ZONE, 3)
        self.simulators = simulators
        accounts = account_toml("india", self.india.configuration())
        legal = {**platform.configuration(), "timeout_seconds": 20}
        self.house = deploy(accounts + account_toml("legal", legal), **options)
        self.calls = CallHouse(self.house, platform)

    @property
    def root(self) -> Path:
        """The archive's folder."""
        return self.house.archive

    def begin(self, app: Celery) -> Process:
        """Archive the first day, a recording by itself and a call; the worker continues."""
        worker = self.house.worker("first")
        self.export(app, FIRST)
        self.download(app)
        self.calls.ask(app, "placed").get(timeout=30)
        self.owes_nothing()
        return worker

    def export(self, app: Celery, day: date) -> Any:
        """Ask for a day as a caller would; what it is told."""
        asked = self.house.send(app, "export.run", account="india", day=day.isoformat())
        return asked.get(timeout=60)

    def download(self, app: Celery) -> Any:
        """Fetch a recording by itself, of the second day."""
        recording_id = str(self.india.recordings()[-1]["id"])
        asked = {"account": "india", "recording_id": recording_id, "request_id": "single"}
        return self.house.send(app, "recording.download", **asked).get(timeout=60)

    def owes_nothing(self) -> None:
        """Wait until everything is under the chain."""
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="something is owed")

    def day(self, day: date = FIRST) -> Day:
        """A day as the ledger has it."""
        (row,) = self.house.ledger.days.of("india", day, day)
        return row

    def open_causes(self) -> list[str]:
        """The causes that people were told of."""
        return [one["cause"] for one in self.house.ledger.alerts.all_open()]

    def coverage(self) -> tuple[int, dict[str, str]]:
        """The status of ``coverage``, and the state of each day that it shows."""
        done = self.house.run("coverage", "--json")
        return done.returncode, {one["day"]: one["state"] for one in json.loads(done.stdout)}

    def doctor(self) -> list[str]:
        """What ``doctor`` calls an error about the archive."""
        found = json.loads(self.house.run("doctor", "--json").stdout)
        return [
            one["meaning"]
            for one in found
            if one["subject"] == "archive" and one["level"] == "error"
        ]

    def refused(self, name: str) -> str:
        """What a worker says that does not start."""
        worker = self.house.celery("worker", "-n", f"{name}@%h", name=name)
        eventually(lambda: not worker.alive, what="the worker did not end")
        assert worker.popen.returncode not in (0, None)
        assert " ready." not in worker.log()
        assert "Traceback" not in worker.log()
        return worker.log()

    def lose(self, pattern: str) -> Path:
        """Remove the one file of the archive that a pattern means; its path."""
        (path,) = self.root.glob(pattern)
        path.unlink()
        return path


def moved(path: Path) -> Path:
    """Move a folder away; where it is now."""
    elsewhere = path.with_name(f"{path.name}-elsewhere")
    path.rename(elsewhere)
    return elsewhere


def copied(path: Path, name: str) -> Path:
    """A copy of a folder, as ``cp -Rp`` makes it."""
    copy = path.with_name(name)
    shutil.copytree(path, copy, symlinks=True)
    return copy
