"""The worker processes that are measured: ours as they are deployed, and a bare Celery."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.deployment import Deployment, Process, machine
from tests.servers import Valkey
from tests.waiting import eventually

#: A Python that is told something is started anew, not forked from one that runs already.
STARTED_ANEW = {"PYTHONUNBUFFERED": "1"}
#: What a deployment has, but for the sweeper, which here is quick to end what is owed.
ORDINARY = {"LEASE_SECONDS": "30", "SWEEP_SECONDS": "0.2", "POLL_MAX_SECONDS": "1"}
#: The pool and the number of slots that our own configuration says.
SLOTS = ["--pool", "threads", "--concurrency", "20"]


def deployment(
    folder: Path,
    valkey: Valkey,
    accounts: str,
    *,
    database: int = 0,
    ledger_url: str | None = None,
    surroundings: Mapping[str, str] | None = None,
) -> Deployment:
    """A deployment in a folder of its own, on one of Redis' databases."""
    folder.mkdir(exist_ok=True)
    settings = {**ORDINARY, "REDIS_URL": address(valkey, database)}
    return Deployment(
        folder,
        valkey,
        accounts,
        ledger_url=ledger_url,
        settings=settings,
        surroundings=surroundings,
    )


def address(valkey: Valkey, database: int) -> str:
    """One of Redis' databases."""
    return f"{valkey.url.rpartition('/')[0]}/{database}"


def bare_worker(
    folder: Path,
    redis_url: str,
    name: str = "bare",
    surroundings: Mapping[str, str] | None = None,
) -> Process:
    """Start the peer's worker."""
    command = [sys.executable, "-m", "celery", "-A", "tests.bench.bare", "worker"]
    command += [*SLOTS, "-n", f"{name}@%h", "--loglevel", "INFO"]
    environment = {**machine(), **(surroundings or {}), "BARE_URL": redis_url}
    return Process(command, environment, folder / f"{name}.log")


def until_ready(process: Process, seconds: float = 60) -> None:
    """Wait until a worker says that it is ready."""
    eventually(
        lambda: " ready." in process.log() or not process.alive,
        within=seconds,
        what="the worker was not ready",
        pause=0.01,
    )
    assert process.alive, process.log()
