"""Bursts of calls on a ledger that is busy: every one is placed once, and none ends as failed."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery

from .certified_calls import CallHouse, call_house
from .deployment import Deployment
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

SLOTS = 64
#: Longer than a permission to send may take, so that those under way come too late.
LOCKED_SECONDS = 2.6


def house(deploy: Deploy, simulators: Simulators, ledger_url: str | None = None) -> CallHouse:
    """A house with one worker of 64 slots."""
    calling = call_house(
        deploy,
        simulators,
        ledger_url=ledger_url,
        timeout_seconds=30,
        max_calls_per_day=10_000,
        settings={"LEASE_SECONDS": "30"},
    )
    process = calling.house.celery(
        "worker", "-n", "w@%h", "-c", str(SLOTS), "-l", "INFO", name="worker"
    )
    eventually(lambda: " ready." in process.log(), within=60)
    return calling


def placed_whole(calling: CallHouse, app: Celery, bursts: list[int], within: float) -> None:
    """Ask in bursts, the next one half a second later; each is placed once, and none fails."""
    names = []
    for burst in bursts:
        begin = len(names)
        names += [f"r{begin + n}" for n in range(burst)]
        for name in names[begin:]:
            calling.ask(app, name)
        time.sleep(0.5)  # the pace of the bursts
    counts = calling.house.ledger.jobs.counts

    def ended() -> bool:
        return sum(counts().get(state, 0) for state in ("done", "failed", "needs_decision")) == len(
            names
        )

    eventually(ended, within=within, what="not every call has ended")
    reasons = Counter(job.reason for job in calling.house.ledger.jobs.jobs(state="failed"))
    assert counts() == {"done": len(names)}, reasons
    assert calling.placed() == len(names)


@contextmanager
def locked_again_and_again(file: Path) -> Iterator[None]:
    """Within, another program holds the ledger's lock most of the time."""
    over = threading.Event()

    def lock() -> None:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as other:
            while not over.wait(0.02):
                other.execute("BEGIN IMMEDIATE")
                over.wait(LOCKED_SECONDS)
                other.execute("ROLLBACK")

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


@pytest.mark.timeout(240)
def test_a_burst_on_a_ledger_that_is_locked_most_of_the_time(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Permissions come too late again and again; the calls wait and are tried again."""
    calling = house(deploy, simulators)
    worker = calling.house.processes[0]
    numbers = itertools.count()

    def one_more_and_several_held_back() -> bool:
        calling.ask(app, f"early{next(numbers)}")
        return worker.log().count("the call will be retried") > 1

    with calling.house.producer() as app:
        file = calling.house.folder / "ledger.sqlite3"
        with locked_again_and_again(file):
            for _ in range(SLOTS):
                calling.ask(app, f"early{next(numbers)}")
            eventually(one_more_and_several_held_back, within=90, pause=0.2)
        asked = next(numbers)
        eventually(lambda: calling.house.ledger.jobs.counts() == {"done": asked}, within=120)
    assert calling.placed() == asked


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ledger_url", ["sqlite", "postgres"], indirect=True)
def test_900_calls_in_bursts_of_300(
    deploy: Deploy, simulators: Simulators, ledger_url: str
) -> None:
    """On 64 slots, as they were seen to fail: all are placed, under their own request ids."""
    calling = house(deploy, simulators, ledger_url)
    with calling.house.producer() as app:
        placed_whole(calling, app, [300, 300, 300], within=600)


@pytest.mark.timeout(240)
def test_a_burst_of_150(deploy: Deploy, simulators: Simulators) -> None:
    """The same, smaller."""
    calling = house(deploy, simulators)
    with calling.house.producer() as app:
        placed_whole(calling, app, [75, 75], within=180)
