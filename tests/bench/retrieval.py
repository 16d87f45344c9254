"""Large ZIPs from the provider into the archive, beside curl, sha256sum and unzip -t in turn."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from celery import Celery

from tests.deployment import Deployment, Process, account_toml
from tests.servers import Valkey
from tests.simulators.doors import AccountDoor
from tests.simulators.remote import Remote

from . import counting
from .house import STARTED_ANEW, deployment, start_worker
from .keeping import write_zip
from .measurement import Goal, Row, Samples, in_turns, timed
from .processes import PeakMemory, cpu_seconds
from .sizes import Sizes

_PROGRAMS = ("curl", "sha256sum", "unzip")
_THAN = "curl, sha256sum, unzip -t"
_FAST, _SMALL = Goal("ratio", 0.4), Goal("ours", 64.0)
_DAY = date(2026, 11, 1)
_MEMBERS = 20
_AT_ONCE = 4
_SLOTS = 20
_SECONDS = 600.0


@dataclass(frozen=True)
class Taken:
    """What one turn took: seconds, CPU seconds, and the growth of memory in MB (ours alone)."""

    seconds: float
    cpu: float
    memory: float = 0.0


class Provided:
    """A ZIP that the simulated provider offers as the archive of as many exports as are needed."""

    def __init__(self, account: AccountDoor, simulators: Remote, folder: Path) -> None:
        self.account = account
        self._address = f"{simulators.vonage.base_url}/api/bulkDownload/retrieve"
        self._folder = folder
        self._ids = [one["id"] for one in account.seed(_DAY, "UTC", _MEMBERS)]
        self._numbers = itertools.count(1)
        self._path = Path()
        self.size = 0

    def make(self, size: int) -> None:
        """Build another ZIP in the place of the last one."""
        self._path.unlink(missing_ok=True) if self.size else None
        self._path = self._folder / f"offered-{size}.zip"
        names = [f"730048.{number}.mp3" for number in range(1_000_001, 1_000_001 + _MEMBERS)]
        write_zip(self._path, names, size)
        self.size = self._path.stat().st_size

    def export(self) -> str:
        """Offer the ZIP as one more export; return the export's id at the provider."""
        name = f"bench-{next(self._numbers)}"
        self.account.restore_job(name, self._ids, path=str(self._path), etag=name)
        return name

    def curl_configuration(self) -> str:
        """Return what curl needs to fetch one more export, on its standard input: the token is
        then in no list of processes.
        """
        query = urlencode({"jobId": self.export(), "userName": self.account.login_name})
        token = self.account.issue_token()
        address = f"{self._address}?{query}"
        return f'url = "{address}"\nheader = "Authorization: Bearer {token}"\n'


class Ours:
    """A worker of ours that retrieves exports."""

    def __init__(self, house: Deployment, worker: Process, provided: Provided) -> None:
        self._house = house
        self._worker = worker
        self._provided = provided
        self.app = Celery("caller", broker=house.valkey.url, backend=house.valkey.url)
        self.retrieved = 0
        self.bytes = 0

    def retrieve(self, count: int) -> Taken:
        """Retrieve so many exports at once, from their messages to their results."""
        ids = [self._provided.export() for _ in range(count)]
        memory = PeakMemory(self._worker.pid)
        before = cpu_seconds(self._worker.pid)
        seconds = timed(lambda: self._retrieve(ids))
        taken = Taken(seconds, cpu_seconds(self._worker.pid) - before, memory.growth())
        self.retrieved += count
        self.bytes += count * self._provided.size
        return taken

    def _retrieve(self, ids: Sequence[str]) -> None:
        asked: list[Any] = [
            self._house.send(self.app, "export.retrieve", account="bench", provider_job_id=one)
            for one in ids
        ]
        for one in asked:
            one.get(timeout=_SECONDS)

    def counted(self) -> dict[str, int]:
        """Count what the retrievals left. Raises Missing."""
        counting.settle(self._house)
        archive = self._house.archive
        zips = list(archive.rglob("*.zip"))
        manifests = {str(path.relative_to(archive)) for path in archive.rglob("manifest.json")}
        found = {
            **counting.jobs_done(self._house),
            "ZIPs": len(zips),
            "manifests under the chain": len(
                manifests & counting.under_chain(self._house, "bench")
            ),
            "bytes": sum(path.stat().st_size for path in zips),
        }
        wanted = {**dict.fromkeys(found, self.retrieved), "unanswered": 0, "bytes": self.bytes}
        return counting.compare("retrieve", found, wanted)


def peer(provided: Provided, folder: Path, count: int) -> Taken:
    """Fetch, sum and test so many exports at once by other programs."""
    before = os.times()
    seconds = timed(lambda: _fetched(provided, folder, count))
    after = os.times()
    used = after.children_user + after.children_system
    return Taken(seconds, used - before.children_user - before.children_system)


def _fetched(provided: Provided, folder: Path, count: int) -> None:
    curl = 'curl --silent --fail --noproxy "*" --config - --output "$0"'
    command = ["sh", "-ec", f'{curl}; sha256sum "$0"; unzip -tqq "$0"; wc -c < "$0"; rm "$0"']
    started = []
    for number in range(count):
        process = subprocess.Popen(
            [*command, str(folder / f"fetched-{number}.zip")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(provided.curl_configuration())
        process.stdin.close()
        process.stdin = None
        started.append(process)
    for process in started:
        output, _ = process.communicate(timeout=_SECONDS)
        assert process.returncode == 0, output
        assert int(output.split()[-1]) == provided.size, output


def retrieval(folder: Path, sizes: Sizes, valkey: Valkey, simulators: Remote) -> Iterator[Row]:
    """``export.retrieve`` of large ZIPs, one at a time and four at once."""
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None]
    account = simulators.vonage.account(username="retrieval@vbc.prod")
    account.configure(ready_after_polls=0)
    with ExitStack() as stack:
        house = deployment(
            folder / "ours",
            valkey,
            account_toml("bench", account.configuration()),
            settings={"TRANSFERS_PER_WORKER": str(_AT_ONCE)},
            surroundings=STARTED_ANEW if sizes.anew else {},
        )
        stack.callback(house.close)
        provided = Provided(account, simulators, folder)
        ours = Ours(house, start_worker(house, slots=_SLOTS), provided)
        stack.callback(ours.app.close)
        cases = [(size, 1) for size in sizes.transfers] + [(sizes.at_once_bytes, _AT_ONCE)]
        rows = []
        for size, count in cases:
            provided.make(size)
            rows.append((size, count, _in_turns(ours, provided, folder, count, sizes, lacking)))
        counted = ours.counted()
    for size, count, taken in rows:
        yield from _rows(size, count, taken, counted, lacking)


def _in_turns(
    ours: Ours, provided: Provided, folder: Path, count: int, sizes: Sizes, lacking: Sequence[str]
) -> dict[str, list[Taken]]:
    turns: dict[str, Callable[[], Taken]] = {"ours": lambda: ours.retrieve(count)}
    if not lacking:
        turns["peer"] = lambda: peer(provided, folder, count)
    return in_turns(sizes.times, turns)


def _rows(
    size: int,
    count: int,
    taken: dict[str, list[Taken]],
    counted: dict[str, int],
    lacking: Sequence[str],
) -> Iterator[Row]:
    each = f"{size / 1e9:g} GB" if size >= 1e9 else f"{size / 1e6:g} MB"
    what = f"retrieve {each}" if count == 1 else f"retrieve {count} ZIPs of {each} at once"
    seconds = {n: Samples.of(turn.seconds for turn in turns) for n, turns in taken.items()}
    cpu = {n: Samples.of(turn.cpu for turn in turns) for n, turns in taken.items()}
    memory = Samples.of(turn.memory for turn in taken["ours"])
    small = Goal("ours", _SMALL.bound * count)
    why = f"not installed: {', '.join(lacking)}" if lacking else ""
    for title, figures, goal in ((what, seconds, _FAST), (f"{what}: CPU", cpu, None)):
        row = Row(
            "retrieve", title, "s", figures["ours"], figures.get("peer"), _THAN, goal, counted
        )
        yield Row("retrieve", title, "s", than=_THAN, goal=goal, not_measured=why) if why else row
    yield Row("retrieve", f"{what}: growth of memory", "MB", memory, goal=small, counted=counted)
