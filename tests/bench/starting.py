"""How much it takes until something can be done, beside the libraries alone."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.certified_calls import ASKED
from tests.deployment import Deployment, Process, account_toml, machine
from tests.servers import Valkey

from . import counting
from .house import STARTED_ANEW, address, deployment, start_plain, start_worker, until_ready
from .measurement import Goal, Row, Samples, in_turns, timed
from .processes import cpu_to_first_line
from .provider import Provider
from .sizes import Sizes
from .sweep import fill

_LIBRARIES = "import celery, sqlalchemy, pydantic; print('imported')"
_SOON = Goal("ours", 0.4)
_SLOTS = 20
#: Jobs that `status` lists, and days that `coverage` shows.
_JOBS, _DAYS = 20, 7


class Workers:
    """Workers that are started until they say that they are ready, and ended."""

    def __init__(
        self, folder: Path, house: Deployment, redis_url: str, surroundings: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._house = house
        self._redis_url = redis_url
        self._surroundings = surroundings
        self._numbers = itertools.count(1)
        self.ready = {"ours": 0, "plain": 0}

    def ours(self) -> float:
        """``celery -A worker worker``."""
        name = f"worker-{next(self._numbers)}"
        return self._ready("ours", lambda: start_worker(self._house, slots=_SLOTS, name=name))

    def plain(self) -> float:
        """The plain worker."""
        name = f"plain-{next(self._numbers)}"
        start = partial(start_plain, slots=_SLOTS, name=name, surroundings=self._surroundings)
        return self._ready("plain", lambda: start(self._folder, self._redis_url))

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
    """The CPU of commands to their first line, and a worker's time to be ready."""
    anew = STARTED_ANEW if sizes.anew else {}
    house = deployment(folder / "ours", valkey, _accounts(), surroundings=anew)
    try:
        fill(house, _JOBS)
        workers = Workers(folder, house, address(valkey, 1), anew)
        first = (datetime.now(UTC).date() - timedelta(days=_DAYS)).isoformat()
        commands = {
            "status": ["status"],
            "coverage": ["coverage", "--account", "night", "--from", first],
            "--help": ["--help"],
        }
        turns: dict[str, Callable[[], float]] = {
            name: partial(
                cpu_to_first_line, [sys.executable, "-m", "worker", *more], house.environment
            )
            for name, more in commands.items()
        }
        libraries = [sys.executable, "-c", _LIBRARIES]
        turns["libraries"] = partial(cpu_to_first_line, libraries, machine())
        # Nobody's bytecode is compiled while it counts.
        for turn in turns.values() if sizes.anew else ():
            turn()
        turns |= {"worker": workers.ours, "plain": workers.plain}
        seen = {name: Samples.of(taken) for name, taken in in_turns(sizes.times, turns).items()}
        counted = counting.compare(
            "starting",
            {"workers": workers.ready["ours"], "jobs": counting.jobs_in(house)},
            {"workers": sizes.times, "jobs": _JOBS},
        )
    finally:
        house.close()
    than = "import celery, sqlalchemy, pydantic"
    for name in commands:
        what, ours, peer = f"{name}: CPU to the first line", seen[name], seen["libraries"]
        yield Row("starting", what, "s", ours, peer, than, _SOON, counted)
    what, ours, peer = "worker to ready", seen["worker"], seen["plain"]
    yield Row("starting", what, "s", ours, peer, "plain Celery to ready", counted=counted)


def _accounts() -> str:
    """Return an account for certified calls, and one with nights for `coverage`."""
    calls = account_toml(str(ASKED["account"]), Provider("http://127.0.0.1:9").account())
    night = {"provider": "vonage", "access_token": "a-token", "login_name": "bench@vbc.prod"}
    return calls + account_toml("night", night, {"catchup_days": 1})
