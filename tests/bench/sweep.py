"""Rounds of the sweeper in a ledger in which many jobs wait."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import insert

from config.queues import DUE
from ledger.core import states
from ledger.core.schema import jobs, waiters
from tests.deployment import ROOT, Deployment
from tests.servers import Valkey

from . import counting
from .calls import POSTGRES, SQLITE
from .house import STARTED_ANEW, deployment, durable_postgres, plain_address
from .measurement import Goal, Row, Samples
from .sizes import Sizes

_SOON, _MANY = Goal("ours", 20.0), Goal("ours", 1000.0, at_least=True)
_KIND = "earwitness.recording.download"
#: How long the jobs wait, and how many rows one transaction writes.
_FAR_SECONDS, _BLOCK = 3600.0, 5_000


def sweep(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """Rounds with nothing due, and how many jobs a second rounds announce that became due."""
    with ExitStack() as stack:
        postgres = stack.enter_context(durable_postgres())
        url = stack.enter_context(postgres.database())
        for number, (ledger, ledger_url) in enumerate(((SQLITE, None), (POSTGRES, url))):
            house = deployment(
                folder / ledger,
                valkey,
                "",
                database=number,
                ledger_url=ledger_url,
                surroundings=STARTED_ANEW,
            )
            stack.callback(house.close)
            fill(house, sizes.waiting)
            if ledger_url:
                analyze(ledger_url)
            yield from _rows(ledger, house, sizes)


def command(turns: int, due: int) -> list[str]:
    """Return the program that runs the rounds, in the environment of a deployment."""
    return [sys.executable, "-m", "tests.bench.sweeping", str(turns), str(due)]


def _rows(ledger: str, house: Deployment, sizes: Sizes) -> Iterator[Row]:
    done = subprocess.run(
        command(sizes.times, sizes.due),
        cwd=ROOT,
        env=house.environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    seen = json.loads(done.stdout)
    found = {"jobs": counting.jobs_in(house), "announced": int(seen["hinted"])}
    wanted = {"jobs": sizes.waiting, "announced": sizes.times * sizes.due}
    counted = counting.compare(f"sweep ({ledger})", found, wanted)
    what = f"a sweep, {sizes.waiting} jobs waiting, none due"
    usual = Samples.of(statistics.median(turn) for turn in seen["quiet"])
    worst = Samples.of(max(turn) for turn in seen["quiet"])
    yield Row("sweep", f"{what} ({ledger})", "ms", usual, goal=_SOON, counted=counted)
    yield Row("sweep", f"{what}: slowest of 12 ({ledger})", "ms", worst, counted=counted)
    announced = Samples.of(seen["busy"])
    yield Row("sweep", f"jobs made due ({ledger})", "/s", announced, goal=_MANY, counted=counted)


def fill(house: Deployment, count: int) -> None:
    """Write so many waiting jobs, each with a caller, as they stand an hour before they are due."""
    now = house.ledger.database.time()
    for first in range(0, count, _BLOCK):
        rows = [_job(now) for _ in range(first, min(first + _BLOCK, count))]
        callers = [
            {"task_id": row["task_id"], "job_id": row["job_id"], "asked_at": now, "attempts": 0}
            for row in rows
        ]
        house.ledger.database.write(
            lambda c, rows=rows, callers=callers: (  # type: ignore[misc]
                c.execute(insert(jobs), rows),
                c.execute(insert(waiters), callers),
            ),
            patience_seconds=60,
        )


def _job(now: float) -> dict[str, Any]:
    job_id = str(uuid.uuid4())
    return {
        "job_id": job_id,
        "kind": _KIND,
        "account": "bench",
        "request_id": job_id,
        "task_id": str(uuid.uuid4()),
        "parameters": {"account": "bench", "recording_id": job_id},
        "fingerprint": "0" * 64,
        "fingerprint_version": 1,
        "state": states.WAITING,
        "work": {},
        "attempts": 1,
        "takeovers": 0,
        "queue": DUE,
        "next_attempt_at": now + _FAR_SECONDS,
        "cancel_requested": False,
        "open_parts": 0,
        "hint_no": 0,
        "created_at": now,
        "updated_at": now,
    }


def analyze(ledger_url: str) -> None:
    """Have PostgreSQL count the rows, which it does by itself after a minute."""
    with psycopg.connect(plain_address(ledger_url), autocommit=True) as connection:
        connection.execute("ANALYZE")
