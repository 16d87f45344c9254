"""A transfer outlives its worker: killed, stopped and woken, told to stop, cut off."""

from __future__ import annotations

import hashlib
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.core import states
from ledger.core.job import Job

from .deployment import Deployment, Process, account_toml, zip_is_whole
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

MB = 1_000_000
DAY = date(2026, 11, 10)
Deploy = Callable[..., Deployment]

#: Once as quick as `make test` wants it, once as large and as long as it was promised. It comes so
#: slowly that most of it is left when the worker is gone, and then fast.
SIZES = [
    pytest.param(20 * MB, 20, 3, id="20MB"),
    pytest.param(200 * MB, 60, 60, id="200MB", marks=[pytest.mark.soak, pytest.mark.timeout(400)]),
]


class Night:
    """One day of one account: a few large recordings in one slow ZIP."""

    def __init__(self, deploy: Deploy, simulators: Simulators, size: int, seconds: float) -> None:
        self.account = simulators.vonage.account(username="john.doe@vbc.prod")
        self.account.configure(bytes_per_second=size // seconds, ready_after_polls=0)
        self.recordings = self.account.seed(DAY, "Asia/Kolkata", 4, size_bytes=size // 4)
        self.size = size
        self.simulators = simulators
        lease = "4" if size < 100 * MB else "10"
        accounts = account_toml("india", self.account.configuration(), {"catchup_days": 1})
        self.house = deploy(accounts, settings={"LEASE_SECONDS": lease})

    def start(self) -> None:
        """Ask for the day, as a caller would."""
        with self.house.producer() as app:
            self.house.send(app, "export.run", account="india", day=DAY.isoformat())
        eventually(lambda: self.house.ledger.jobs.jobs(kind="export.run"), what="no job was opened")

    def holder(self) -> Process:
        """The worker that does the transfer now."""
        (part,) = self.house.ledger.jobs.parts(self.run().job_id)
        taken = [
            one for one in self.house.ledger.jobs.history(part.job_id) if one["to"] == "running"
        ]
        pid = int(taken[-1]["by"].rpartition(":")[2])
        (process,) = [one for one in self.house.processes if one.pid == pid]
        return process

    def part(self) -> Path | None:
        """The file that the transfer grows in."""
        parts = sorted(self.house.spool.glob("zip-*.part"), key=lambda path: path.stat().st_size)
        return parts[-1] if parts else None

    def until_held(self, share: float) -> int:
        """Wait until this share of the transfer lies on disk; how many bytes do."""

        def held() -> int:
            part = self.part()
            size = part.stat().st_size if part is not None else 0
            return size if size >= share * self.size else 0

        return eventually(held, within=60, what=f"{share:.0%} of the transfer did not come")

    def send_to_sleep(self, worker: Process) -> None:
        """Stop a worker, but not in the middle of a transaction: asleep with SQLite's one lock in
        its hand it would let nobody take over.
        """
        while True:
            worker.signal_group(signal.SIGSTOP)
            eventually(lambda: _stands_still(worker), what="the worker went on")
            with suppress(sqlite3.OperationalError):
                self._lock(1)
                return
            worker.signal_group(signal.SIGCONT)
            self._lock(LOADED_SECONDS)  # until its transaction is over

    def _lock(self, seconds: float) -> None:
        """Take the ledger's lock within so many seconds, and give it back."""
        path = self.house.folder / "ledger.sqlite3"
        with closing(sqlite3.connect(path, seconds, isolation_level=None)) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            ledger.execute("ROLLBACK")

    def hurry(self) -> None:
        """The rest comes at once."""
        self.account.configure(bytes_per_second=None)

    def run(self) -> Job:
        """The job of the day's export."""
        (job,) = self.house.ledger.jobs.jobs(kind="export.run")
        return job

    def archived(self, within: float) -> Job:
        """Wait until the day is archived, and check it by what lies on disk."""
        job = eventually(
            lambda: found if (found := self.run()).ended else None,
            within=within,
            what="the day was not archived",
        )
        assert job.state == states.DONE, job.reason
        (path,) = self.house.archive.glob("india/exports/*/*/*/*/*.zip")
        assert zip_is_whole(path)
        summed = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name.split(".")[-2] == summed[:16]
        assert (job.result or {})["archived"] == 4
        return job

    def transfers(self) -> list[Any]:
        """Every answer that carried bytes of the ZIP, as the simulator saw it."""
        (export,) = self.simulators.log.exports()
        return list(self.simulators.log.transfers(export["job_ids"][0]))

    def sent(self) -> int:
        """How many bytes of the ZIP left the simulator in all."""
        (export,) = self.simulators.log.exports()
        return int(self.simulators.log.sent_bytes(export["job_ids"][0]))


def resumed_from(transfer: Any) -> int:
    """Where a range request starts."""
    return int(transfer["range"].removeprefix("bytes=").rstrip("-"))


@pytest.mark.parametrize("spare", [False, True], ids=["one-worker-again", "two-workers"])
@pytest.mark.parametrize(("size", "seconds", "pause"), SIZES)
def test_a_killed_transfer_goes_on_where_it_was(
    deploy: Deploy, simulators: Simulators, size: int, seconds: float, pause: float, spare: bool
) -> None:
    """Kill -9 of the worker's whole process group in the middle: archived within 60 seconds of a
    worker being there, by one more request, whose Range starts at what lay on disk.
    """
    assert pause
    night = Night(deploy, simulators, size, seconds)
    for name in ("first", "second")[: 1 + spare]:
        night.house.worker(name)
    night.start()
    night.until_held(0.1)
    night.holder().kill()
    part = night.part()
    assert part is not None
    held = part.stat().st_size
    assert held < 0.7 * size, "the transfer went too far before the kill"
    night.hurry()
    if not spare:
        night.house.worker("second")
    night.archived(within=60)
    assert [resumed_from(one) for one in night.transfers()[1:]] == [held]
    assert night.sent() <= 1.1 * size


@pytest.mark.parametrize(("size", "seconds", "pause"), SIZES)
def test_a_stopped_worker_that_wakes_damages_nothing(
    deploy: Deploy, simulators: Simulators, size: int, seconds: float, pause: float
) -> None:
    """SIGSTOP for longer than its lease: another worker goes on from a copy of what is held; the
    first one, woken, stores nothing and counts nothing twice.
    """
    night = Night(deploy, simulators, size, seconds)
    night.house.worker("first")
    night.house.worker("second")
    night.start()
    night.until_held(0.1)
    holder = night.holder()
    night.send_to_sleep(holder)
    stopped_at = time.monotonic()
    part = night.part()
    assert part is not None
    held = part.stat().st_size
    eventually(lambda: _taken_over(night), what="nobody took over")
    while time.monotonic() < stopped_at + pause:
        time.sleep(0.1)
    holder.signal_group(signal.SIGCONT)
    night.hurry()
    job = night.archived(within=60)
    # The woken one has noticed that the job is another's, and has ended what it was at.
    eventually(lambda: "was lost" in holder.log(), what="the first did not notice")
    assert night.run() == job
    assert night.archived(within=1) == job
    assert [resumed_from(one) for one in night.transfers()[1:]] == [held]
    assert all(process.alive for process in night.house.processes)
    with night.house.producer() as app:
        again = night.house.send(app, "export.run", account="india", day=DAY.isoformat())
        assert again.get(timeout=60)["job_id"] == job.job_id


def _stands_still(process: Process) -> bool:
    """Whether every thread is stopped: one that is in a system call, such as a write, ends that
    first.
    """
    try:
        stats = [
            (thread / "stat").read_text() for thread in Path(f"/proc/{process.pid}/task").iterdir()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return False  # a thread has ended meanwhile
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def _taken_over(night: Night) -> bool:
    return any(part.takeovers for part in night.house.ledger.jobs.parts(night.run().job_id))


def test_a_worker_told_to_stop_hands_its_transfer_on(
    deploy: Deploy, simulators: Simulators
) -> None:
    """SIGTERM: the transfer stops at the next chunk, the worker ends soon, and another one goes on
    from there; nobody counts it as a dead worker.
    """
    night = Night(deploy, simulators, 20 * MB, 60)
    first = night.house.worker("first")
    night.start()
    night.until_held(0.05)
    assert first.stop(within=LOADED_SECONDS) == 0
    night.hurry()
    night.house.worker("second")
    night.archived(within=60)
    assert not _taken_over(night)
    assert len(night.transfers()) == 2
    assert night.sent() <= 1.1 * night.size


@pytest.mark.parametrize("how", ["broken", "reset"])
def test_a_cut_transfer_is_resumed_by_the_same_worker(
    deploy: Deploy, simulators: Simulators, how: str
) -> None:
    """A connection that breaks in the middle costs nothing that had come already."""
    night = Night(deploy, simulators, 4 * MB, 2)
    night.account.fault("retrieve", "cut", after_bytes=MB, how=how)
    night.house.worker()
    night.start()
    night.archived(within=60)
    first, second = night.transfers()
    assert 0 < resumed_from(second) <= first["sent_bytes"]
    assert night.sent() <= 1.2 * night.size


def test_a_provider_without_ranges_is_fetched_from_the_start(
    deploy: Deploy, simulators: Simulators
) -> None:
    """The vendor's page speaks of no ranges: without them a cut transfer begins again."""
    night = Night(deploy, simulators, 4 * MB, 2)
    night.account.configure(ranges=False)
    night.account.fault("retrieve", "cut", after_bytes=MB, how="broken")
    night.house.worker()
    night.start()
    night.archived(within=60)
    assert len(night.transfers()) == 2


def test_an_export_made_anew_under_the_same_id_is_not_mixed_with_the_old(
    deploy: Deploy, simulators: Simulators
) -> None:
    """The ZIP changed at the provider between two requests: what was held is dropped."""
    night = Night(deploy, simulators, 4 * MB, 2)
    night.account.fault("retrieve", "cut", after_bytes=MB, how="broken")
    night.account.fault("retrieve", "rebuilt_zip", skip=1)
    night.house.worker()
    night.start()
    night.archived(within=60)


def test_catch_up_of_days_is_not_disturbed_by_a_killed_worker(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Three days at once, the worker killed in the middle of one: all three are archived, each by
    one export.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(bytes_per_second=MB // 10, ready_after_polls=1)
    days = [DAY + timedelta(days=n) for n in range(3)]
    for day in days:
        account.seed(day, "Asia/Kolkata", 2, size_bytes=2 * MB)
    accounts = account_toml("india", account.configuration(), {})
    house = deploy(accounts, settings={"LEASE_SECONDS": "4"})
    first = house.worker("first")
    with house.producer() as app:
        for day in days:
            house.send(app, "export.run", account="india", day=day.isoformat())

        def in_the_middle() -> bool:
            # Killed while it asks for an export, nobody asks again for a quarter of an hour.
            parts = house.ledger.jobs.jobs(kind="export.retrieve")
            return len(parts) == 3 and bool(list(house.spool.glob("zip-*.part")))

        eventually(in_the_middle, what="no day was in the middle of its transfer")
        first.kill()
    account.configure(bytes_per_second=None)
    house.worker("second")

    def all_done() -> bool:
        jobs = house.ledger.jobs.jobs(kind="export.run")
        return len(jobs) == 3 and all(job.state == states.DONE for job in jobs)

    eventually(all_done, within=90, what="not every day was archived")
    assert len(simulators.log.exports()) == 3


def test_a_worker_that_is_ended_by_remote_control_gives_its_transfer_back(
    deploy: Deploy, simulators: Simulators
) -> None:
    """As after a signal: it ends at once, not when all of the ZIP is there; another goes on."""
    night = Night(deploy, simulators, 40_000_000, 400.0)
    worker = night.house.worker()
    night.start()
    night.until_held(0.005)
    with night.house.producer() as app:
        app.control.shutdown()
    eventually(lambda: not worker.alive, what="the worker went on with its transfer")
    night.hurry()
    night.house.worker("another")
    night.archived(within=60)
