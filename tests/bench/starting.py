"""How long it takes until something can be done, against the libraries alone."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.deployment import ROOT, Deployment, Process, machine
from tests.servers import Valkey

from .house import STARTED_ANEW, address, bare_worker, deployment, until_ready
from .measurement import Row, in_turns, timed
from .sizes import Sizes

_LIBRARIES = ["-c", "import celery, sqlalchemy, pydantic"]
_STATUS = "our modules, settings and accounts, and a look at the ledger"
_READY = "our modules and theirs; checks of ledger, archive and Redis; three queues"


class Starting:
    """Programs that are started, looked at and ended."""

    def __init__(self, folder: Path, house: Deployment, redis_url: str) -> None:
        self._folder = folder
        self._house = house
        self._redis_url = redis_url
        self._numbers = itertools.count(1)
        self.answers: list[object] = []
        self.ready = {"ours": 0, "bare": 0}

    def status(self) -> float:
        """``python -m worker status`` of a ledger without a job."""
        environment = self._house.environment
        command = [sys.executable, "-m", "worker", "status", "--json"]

        def run() -> None:
            told = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, check=True
            )
            self.answers.append(json.loads(told.stdout))

        return timed(run)

    def libraries(self) -> float:
        """The imports that every such program needs."""
        command = [sys.executable, *_LIBRARIES]
        return timed(lambda: subprocess.run(command, cwd=ROOT, env=machine(), check=True))

    def worker(self) -> float:
        """``celery -A worker worker`` until it says that it is ready."""
        name = f"worker-{next(self._numbers)}"
        return self._ready("ours", lambda: self._house.worker(name, ready=False))

    def bare(self) -> float:
        """The peer's worker until it says the same."""
        name = f"bare-{next(self._numbers)}"
        return self._ready(
            "bare", lambda: bare_worker(self._folder, self._redis_url, name, STARTED_ANEW)
        )

    def _ready(self, whose: str, start: Callable[[], Process]) -> float:
        begun: list[Process] = []

        def run() -> None:
            begun.append(start())
            until_ready(begun[0])

        try:
            taken = timed(run)
        finally:
            for process in begun:
                process.stop()
                process.close()
        self.ready[whose] += 1
        return taken


def starting(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """A command's start, and a worker's."""
    house = deployment(folder, valkey, "", surroundings=STARTED_ANEW)
    try:
        house.ledger  # noqa: B018 - there is one, as in use
        start = Starting(folder, house, address(valkey, 1))
        # Nobody's bytecode is compiled while the others' time is taken.
        turns = {name: getattr(start, name) for name in ("status", "libraries", "worker", "bare")}
        if sizes.times > 1:
            for turn in turns.values():
                turn()
        before = len(start.answers)
        seconds = in_turns(sizes.times, **turns)
    finally:
        house.close()
    assert start.answers == [[]] * (before + sizes.times), start.answers
    assert start.ready["ours"] == start.ready["bare"], start.ready
    counted = {"starts": len(start.answers) - before, "ready": start.ready["ours"]}
    than = "import celery, sqlalchemy, pydantic"
    what = "python -m worker status"
    yield Row(what, seconds["status"], seconds["libraries"], than, _STATUS, counted)
    what = "celery -A worker worker to ready"
    yield Row(what, seconds["worker"], seconds["bare"], "bare Celery to ready", _READY, counted)
