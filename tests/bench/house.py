"""The worker processes that are measured: ours as they are deployed, and a plain Celery."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.deployment import Deployment, Process, machine
from tests.servers import Postgres, Valkey
from tests.waiting import eventually

#: A Python whose environment has this variable is started anew, not forked from a running one.
STARTED_ANEW = {"PYTHONUNBUFFERED": "1"}
#: An ordinary deployment, but for the sweeper and the polls, which would only be waited for.
ORDINARY = {"LEASE_SECONDS": "30", "SWEEP_SECONDS": "1", "POLL_MAX_SECONDS": "1"}


def deployment(
    folder: Path,
    valkey: Valkey,
    accounts: str,
    *,
    database: int = 0,
    ledger_url: str | None = None,
    settings: Mapping[str, str] | None = None,
    surroundings: Mapping[str, str] | None = None,
) -> Deployment:
    """Make a deployment in a folder of its own, on one of Redis' databases."""
    folder.mkdir(exist_ok=True)
    given = {**ORDINARY, "REDIS_URL": address(valkey, database), **(settings or {})}
    made = Deployment(
        folder,
        valkey,
        accounts,
        ledger_url=ledger_url,
        settings=given,
        surroundings=surroundings,
    )
    made.ledger  # noqa: B018 - is prepared before the worker opens it
    return made


def start_worker(house: Deployment, *, slots: int, name: str = "worker") -> Process:
    """Start a worker of ours with so many slots and wait until it is ready."""
    arguments = ["-n", f"{name}@%h", "--concurrency", str(slots), "--loglevel", "INFO"]
    process = house.celery("worker", *arguments, name=name)
    until_ready(process)
    return process


def start_plain(
    folder: Path,
    redis_url: str,
    *,
    slots: int,
    name: str = "plain",
    surroundings: Mapping[str, str] | None = None,
) -> Process:
    """Start a plain Celery worker with so many slots; the caller waits until it is ready."""
    command = [sys.executable, "-m", "celery", "-A", "tests.bench.plain", "worker"]
    command += ["--pool", "threads", "--concurrency", str(slots)]
    command += ["-n", f"{name}@%h", "--loglevel", "INFO"]
    environment = {**machine(), **(surroundings or {}), "PLAIN_URL": redis_url}
    return Process(command, environment, folder / f"{name}.log")


def address(valkey: Valkey, database: int) -> str:
    """Return the address of one of Redis' databases."""
    return f"{valkey.url.rpartition('/')[0]}/{database}"


def until_ready(process: Process, seconds: float = 60) -> None:
    """Wait until a worker says that it is ready."""
    eventually(
        lambda: " ready." in process.log() or not process.alive,
        within=seconds,
        what="the worker was not ready",
        pause=0.01,
    )
    assert process.alive, process.log()


@contextmanager
def durable_postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL that waits for the disk at each commit, which those of tests do not."""
    with Postgres() as server:
        with psycopg.connect(plain_address(server.url("postgres")), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM RESET fsync")
            connection.execute("SELECT pg_reload_conf()")
        yield server


def plain_address(url: str) -> str:
    """Return a database's address as programs without SQLAlchemy take it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
