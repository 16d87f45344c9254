"""One large ZIP from the provider into the archive, against those that only save it."""

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

from .house import deployment, until_ready
from .measurement import Row, Turn, in_turns, timed
from .sizes import Sizes

_FIRST = date(2026, 11, 1)
_RECORDINGS = 20
_RETRIEVED = "fsync; read twice more: members by CRC and SHA-256, its own sum; rows"
_RUN = "besides that: the provider builds the ZIP; polls, the list, the manifest"


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
        """A whole export of one more day, from its message to its result."""
        day = self._day()
        return timed(lambda: self._get("export.run", account="bench", day=day.isoformat()))

    def retrieve(self) -> float:
        """The ZIP of one more export that is ready, from its message to its result."""
        job = self.ready()
        return timed(lambda: self._get("export.retrieve", account="bench", provider_job_id=job))

    def ready(self) -> str:
        """Ask for one more export and wait until the provider has it; its id there."""
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

    def _get(self, task: str, **asked: Any) -> None:
        self._send(task, **asked).get(timeout=120)
        self.archived += 1

    def _send(self, task: str, **asked: Any) -> Any:
        return self.house.send(self.app, task, **asked)

    def archived_bytes(self) -> int:
        """What lies in the archive as ZIPs, in bytes."""
        return sum(path.stat().st_size for path in self.house.archive.rglob("*.zip"))


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


def transfer(folder: Path, sizes: Sizes, valkey: Valkey, simulators: Remote) -> Iterator[Row]:
    """Exports through ``export.retrieve`` and ``export.run``; httpx and curl on the same ZIP."""
    account = simulators.vonage.account(username="bench@vbc.prod")
    account.configure(ready_after_polls=0)
    with ExitStack() as stack:
        # Our polls come as soon as they may: the provider's own slowness is not measured.
        accounts = account_toml("bench", account.configuration(), {"catchup_days": 1})
        house = deployment(folder, valkey, accounts)
        stack.callback(house.close)
        until_ready(house.worker(ready=False))
        ours = Ours(house, account, sizes.transfer_bytes)
        stack.callback(ours.app.close)
        peer = Peer(*_ready(ours, simulators), folder / "saved")
        turns: dict[str, Turn] = {"retrieve": ours.retrieve, "run": ours.run, "httpx": peer.httpx}
        if shutil.which("curl"):
            turns["curl"] = peer.curl
        seconds = in_turns(sizes.times, **turns)
        yield from _rows(ours, peer, seconds, sizes)


def _ready(ours: Ours, simulators: Remote) -> tuple[str, str]:
    """The address of a ZIP that is ready, and a token for it."""
    query = urlencode({"jobId": ours.ready(), "userName": ours.account.login_name})
    address = f"{simulators.vonage.base_url}/api/bulkDownload/retrieve?{query}"
    return address, ours.account.issue_token()


def _rows(ours: Ours, peer: Peer, seconds: dict[str, float], sizes: Sizes) -> Iterator[Row]:
    whole = {"zips": ours.archived, "bytes": ours.archived_bytes(), "peer_bytes": sum(peer.sizes)}
    assert ours.archived == 2 * sizes.times, whole
    assert len(set(peer.sizes)) == 1, whole
    assert whole["bytes"] >= ours.archived * sizes.transfer_bytes, whole
    assert min(peer.sizes) >= sizes.transfer_bytes, whole
    size = f"{sizes.transfer_bytes / 1e6:g} MB"
    for task, why in (("retrieve", _RETRIEVED), ("run", _RUN)):
        for other in ("httpx", "curl"):
            if other in seconds:
                what = f"export.{task} of {size}"
                yield Row(what, seconds[task], seconds[other], other, why, whole)
