"""A whole export from its message to its manifest, beside programs that only save its ZIP."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from celery import Celery

from tests.deployment import Deployment, account_toml
from tests.servers import Valkey
from tests.simulators.doors import AccountDoor
from tests.simulators.remote import Remote
from tests.waiting import eventually

from . import counting
from .house import STARTED_ANEW, deployment, start_worker
from .measurement import Row, Samples, in_turns, timed
from .sizes import Sizes

_FIRST = date(2026, 11, 1)
_RECORDINGS = 20
_SLOTS = 20


class Ours:
    """Our worker, and an account at the provider with days of one size."""

    def __init__(self, house: Deployment, account: AccountDoor, size: int) -> None:
        self.house = house
        self.account = account
        self.app = Celery("caller", broker=house.valkey.url, backend=house.valkey.url)
        self.size = size
        self.archived = 0
        self._days = 0

    def run(self) -> float:
        """Run the export of one more day, from its message to its result."""
        day = self._day()
        seconds = timed(
            lambda: self._send("export.run", account="bench", day=day.isoformat()).get(timeout=120)
        )
        self.archived += 1
        return seconds

    def ready(self) -> str:
        """Ask for one more export and wait until the provider has it; return its id there."""
        start = f"{self._day().isoformat()}T00:00:00Z"
        filters = {"start:gte": start, "start:lte": start.replace("00:00:00", "23:59:59")}
        made = self._send("export.create", account="bench", filters=filters).get(timeout=60)
        job_id = str(made["provider_job_ids"][0])

        def built() -> bool:
            return any(job["id"] == job_id and job["built"] for job in self.account.jobs())

        eventually(built, within=60, what="the simulator did not build its ZIP")
        return job_id

    def _day(self) -> date:
        day = _FIRST + timedelta(days=self._days)
        self._days += 1
        self.account.seed(day, "UTC", _RECORDINGS, size_bytes=self.size // _RECORDINGS)
        return day

    def _send(self, task: str, **asked: Any) -> Any:
        return self.house.send(self.app, task, **asked)


class Peer:
    """Saves a ZIP that is ready under a name, and looks at its size."""

    def __init__(self, address: str, token: str, target: Path) -> None:
        self._address = address
        self._token = token
        self._target = target
        self.sizes: list[int] = []

    def httpx(self) -> float:
        """As httpx's documentation says for large answers."""
        return self._saved(self._streamed)

    def curl(self) -> float:
        """The same by curl."""
        return self._saved(self._curled)

    def _saved(self, save: Callable[[], None]) -> float:
        taken = timed(save)
        self.sizes.append(self._target.stat().st_size)
        self._target.unlink()
        return taken

    def _streamed(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        with (
            httpx.Client(trust_env=False, headers=headers) as client,
            client.stream("GET", self._address) as answer,
            self._target.open("wb") as file,
        ):
            for piece in answer.raise_for_status().iter_bytes():
                file.write(piece)

    def _curled(self) -> None:
        # By its standard input, so that the token is in no list of processes.
        told = f'url = "{self._address}"\nheader = "Authorization: Bearer {self._token}"\n'
        command = ["curl", "--silent", "--fail", "--noproxy", "*", "--config", "-"]
        subprocess.run([*command, "--output", str(self._target)], input=told, text=True, check=True)


def export(folder: Path, sizes: Sizes, valkey: Valkey, simulators: Remote) -> Iterator[Row]:
    """Exports through ``export.run``; httpx and curl on the ZIP of one."""
    account = simulators.vonage.account(username="export@vbc.prod")
    account.configure(ready_after_polls=0)
    with ExitStack() as stack:
        # Our polls come as soon as they may: the provider's own slowness is not measured.
        house = deployment(
            folder / "ours",
            valkey,
            account_toml("bench", account.configuration(), {"catchup_days": 1}),
            settings={"POLL_FIRST_SECONDS": "0.2"},
            surroundings=STARTED_ANEW if sizes.anew else {},
        )
        stack.callback(house.close)
        start_worker(house, slots=_SLOTS)
        ours = Ours(house, account, sizes.export_bytes)
        stack.callback(ours.app.close)
        peer = Peer(*_ready(ours, simulators), folder / "saved")
        turns = {"ours": ours.run, "httpx": peer.httpx}
        if shutil.which("curl"):
            turns["curl"] = peer.curl
        seconds = {n: Samples.of(taken) for n, taken in in_turns(sizes.times, turns).items()}
        counted = _counted(ours, peer)
    what = f"export.run of {sizes.export_bytes / 1e6:g} MB"
    for than in ("httpx", "curl"):
        if than in seconds:
            yield Row("export", what, "s", seconds["ours"], seconds[than], than, counted=counted)
        else:
            yield Row("export", what, than=than, not_measured=f"not installed: {than}")


def _ready(ours: Ours, simulators: Remote) -> tuple[str, str]:
    """Return the address of a ZIP that is ready, and a token for it."""
    query = urlencode({"jobId": ours.ready(), "userName": ours.account.login_name})
    address = f"{simulators.vonage.base_url}/api/bulkDownload/retrieve?{query}"
    return address, ours.account.issue_token()


def _counted(ours: Ours, peer: Peer) -> dict[str, int]:
    counting.settle(ours.house)
    archive = ours.house.archive
    whole = [path.stat().st_size for path in archive.rglob("*.zip")]
    manifests = {str(path.relative_to(archive)) for path in archive.rglob("manifest.json")}
    found = {
        "ZIPs": sum(size >= ours.size for size in whole),
        "manifests under the chain": len(manifests & counting.under_chain(ours.house, "bench")),
        "sizes of the peers' files": len({size for size in peer.sizes if size >= ours.size}),
        "owed": counting.owed(ours.house),
    }
    done = ours.archived
    wanted = {
        "ZIPs": done,
        "manifests under the chain": done,
        "sizes of the peers' files": 1,
        "owed": 0,
    }
    return counting.compare("export", found, wanted)
