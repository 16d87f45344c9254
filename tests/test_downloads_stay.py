"""An unfinished download stays with the host that holds its bytes, and leaves nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archive.spool.spool import Spool
from ledger.core import states
from ledger.core.job import Job

from .deployment import Deployment, Process, account_toml
from .hosts import Host
from .simulators import Simulators
from .test_transfers_survive import resumed_from
from .waiting import LOADED_SECONDS, eventually

MB = 1_000_000
SIZE = 30 * MB
DAY = date(2026, 11, 10)


@dataclass
class Moved:
    """Two hosts with spools of their own, and a transfer that has begun on the first of them."""

    house: Deployment
    first: Host
    other: Host
    process: Process
    simulators: Simulators
    india: Any

    def run(self) -> Job:
        """The day's job."""
        (job,) = self.house.ledger.jobs.jobs(kind="export.run")
        return job

    def part(self) -> Job:
        """The job that fetches the ZIP."""
        (job,) = self.house.ledger.jobs.jobs(kind="export.retrieve")
        return job

    def until_held(self, share: float) -> None:
        """Wait until this share of the ZIP lies on the first host."""
        eventually(lambda: held(self.first) >= share * SIZE, what=f"{share:.0%} did not come")

    def until_done(self) -> None:
        """Let the rest come fast, and wait for the day's end."""
        self.india.configure(bytes_per_second=SIZE)
        eventually(lambda: self.run().ended, within=60, what="the day did not end")
        assert self.run().state == states.DONE

    def resumed(self) -> list[int]:
        """At which byte each request after the first one began."""
        (export,) = self.simulators.log.exports()
        transfers = self.simulators.log.transfers(export["job_ids"][0])
        return [resumed_from(one) if one["range"] else 0 for one in transfers[1:]]


def held(host: Deployment) -> int:
    """How many bytes of the ZIP lie in the host's spool."""
    return sum(path.stat().st_size for path in host.spool.glob("zip-*.part"))


def leave(host: Deployment, job: Job) -> Path:
    """Leave a part of the job's ZIP in the host's spool, untouched for minutes."""
    left = host.spool / f"zip-{job.job_id}~{'0' * 16}.part"
    left.write_bytes(b"PK")
    past = time.time() - 600
    os.utime(left, (past, past))
    return left


@pytest.fixture
def moved(deploy: Callable[..., Deployment], simulators: Simulators) -> Moved:
    """One day in one slow ZIP; the worker that fetches it has something, the other one nothing."""
    india = simulators.vonage.account()
    india.seed(DAY, "Asia/Kolkata", 4, size_bytes=SIZE // 4)
    india.configure(bytes_per_second=SIZE // 40, ready_after_polls=0)
    accounts = account_toml("india", india.configuration(), {"catchup_days": 1})
    house = deploy(accounts)
    workers = {host: host.worker_of_it() for host in (Host(house, "a", 0), Host(house, "b", 0))}
    with house.producer() as app:
        house.send(app, "export.run", account="india", day=DAY.isoformat())
    first = eventually(lambda: next((one for one in workers if held(one)), None))
    (other,) = [one for one in workers if one is not first]
    return Moved(house, first, other, workers[first], simulators, india)


@pytest.mark.timeout(120)
def test_a_download_goes_on_where_its_bytes_are(moved: Moved) -> None:
    """The worker that fetches is restarted, while another host's has nothing to do: the transfer
    goes on at its byte. What the other host holds of it is removed meanwhile, and what either holds
    after the end.
    """
    moved.until_held(0.05)
    moved.process.stop()
    kept = held(moved.first)
    moved.first.worker_of_it()
    eventually(
        lambda: held(moved.first) > kept, within=LOADED_SECONDS, what="the transfer did not go on"
    )
    assert held(moved.other) == 0
    assert moved.resumed() == [kept]
    left = leave(moved.other, moved.part())
    eventually(lambda: not left.exists(), what="the stale part was not removed")
    moved.until_done()
    left = leave(moved.first, moved.part())
    eventually(lambda: not left.exists(), what="the orphan was not removed")
    assert moved.resumed() == [kept]


@pytest.mark.soak
@pytest.mark.timeout(200)
def test_a_lost_host_keeps_no_download(moved: Moved) -> None:
    """Another host begins anew within seconds of the lease's end."""
    moved.until_held(0.1)
    moved.process.kill()
    eventually(lambda: held(moved.other) > 0, within=60, what="nobody took the transfer")
    moved.until_done()
    assert moved.resumed() == [0]


def test_a_spool_has_one_identity(tmp_path: Path) -> None:
    """Every process of a host reads the same one, no sweep removes it, and another spool has
    another; without a place to write there is none.
    """
    spool = Spool(tmp_path / "spool", 0)
    known = spool.identity()
    assert known
    assert Spool(tmp_path / "spool", 0).identity() == known
    assert spool.sweep(-1) == 0
    assert spool.identity() == known
    assert Spool(tmp_path / "other", 0).identity() not in (known, None)
    (tmp_path / "file").write_text("")
    assert Spool(tmp_path / "file" / "spool", 0).identity() is None
