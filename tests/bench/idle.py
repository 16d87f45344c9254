"""What a worker uses while it has nothing to do, beside a plain Celery worker at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.deployment import Process
from tests.servers import Valkey

from . import counting
from .calls import PLAIN, POSTGRES, SQLITE
from .house import (
    STARTED_ANEW,
    deployment,
    durable_postgres,
    plain_address,
    start_plain,
    start_worker,
    until_ready,
)
from .measurement import Goal, Row, Samples
from .processes import cpu_seconds
from .sizes import Sizes

#: The settings of a deployment that sets none, which `Deployment` shortens for tests.
_DEFAULTS = {
    "SWEEP_SECONDS": "5",
    "LEASE_SECONDS": "30",
    "POLL_FIRST_SECONDS": "15",
    "POLL_MAX_SECONDS": "300",
}
_SLOTS = 20
#: Before it counts as idle: what a worker does once after its start is over then.
_SETTLE_SECONDS = 10.0
_NEAR, _UNDER_ONE = Goal("ratio", 1.3), Goal("ours", 1.0)
_TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"


@dataclass(frozen=True)
class Used:
    """What an idle worker used: memory in MB, CPU in percent of a core, and calls a second."""

    memory: float
    cpu: float
    redis: float
    database: float


class Idle:
    """An idle worker with a Redis of its own."""

    def __init__(self, worker: Process, valkey: Valkey, transactions: Callable[[], int]) -> None:
        self._worker = worker
        # One connection: its introduction to Redis is no command of the worker's.
        self._client = valkey.client()
        self._transactions = transactions
        self._began = (0.0, 0.0, 0, 0)

    def begin(self) -> None:
        """Begin to count."""
        self._began = self._now()

    def used(self) -> Used:
        """Return what it used since."""
        (at, cpu, redis, database), now = self._began, self._now()
        seconds = now[0] - at
        assert self._worker.alive, self._worker.log()
        return Used(
            self._worker.resident_bytes() / 1e6,
            (now[1] - cpu) / seconds * 100,
            (now[2] - redis - 1) / seconds,  # but for the question itself
            (now[3] - database) / seconds,
        )

    def _now(self) -> tuple[float, float, int, int]:
        stats = self._client.info("commandstats").values()
        commands = sum(int(one["calls"]) for one in stats)
        return time.monotonic(), cpu_seconds(self._worker.pid), commands, self._transactions()

    def close(self) -> None:
        """Close the connection to Redis."""
        self._client.close()


def idle(folder: Path, sizes: Sizes, valkey: Valkey) -> Iterator[Row]:
    """Memory, CPU, Redis commands and database transactions of idle workers."""
    with ExitStack() as stack:
        own = {PLAIN: valkey, **{n: stack.enter_context(Valkey()) for n in (SQLITE, POSTGRES)}}
        postgres = stack.enter_context(durable_postgres())
        ledger_url = stack.enter_context(postgres.database())
        answer = stack.enter_context(
            psycopg.connect(plain_address(postgres.url("postgres")), autocommit=True)
        )
        name = ledger_url.partition("?")[0].rpartition("/")[2]

        def transactions() -> int:
            found = answer.execute(_TRANSACTIONS, [name]).fetchone()
            assert found is not None
            return int(found[0])

        surroundings = STARTED_ANEW if sizes.anew else {}
        plain = start_plain(folder, valkey.url, slots=_SLOTS, surroundings=surroundings)
        stack.callback(plain.close)
        until_ready(plain)
        workers = {PLAIN: Idle(plain, valkey, lambda: 0)}
        houses = {}
        for ledger, url in ((SQLITE, None), (POSTGRES, ledger_url)):
            house = deployment(
                folder / ledger,
                own[ledger],
                "",
                ledger_url=url,
                settings=_DEFAULTS,
                surroundings=surroundings,
            )
            stack.callback(house.close)
            houses[ledger] = house
            counted = transactions if url else lambda: 0
            workers[ledger] = Idle(start_worker(house, slots=_SLOTS), own[ledger], counted)
        time.sleep(min(_SETTLE_SECONDS, sizes.idle_seconds))
        seen: dict[str, list[Used]] = {who: [] for who in workers}
        for _ in range(sizes.times):
            for worker in workers.values():
                worker.begin()
            time.sleep(sizes.idle_seconds)
            for who, worker in workers.items():
                seen[who].append(worker.used())
        for worker in workers.values():
            worker.close()
        for ledger, house in houses.items():
            counting.compare(f"idle ({ledger})", {"owed": counting.owed(house)}, {"owed": 0})
    for ledger in (SQLITE, POSTGRES):
        yield from _rows(ledger, seen)


def _rows(ledger: str, seen: dict[str, list[Used]]) -> Iterator[Row]:
    figures: tuple[tuple[str, str, Callable[[Used], float], Goal], ...] = (
        ("memory", "MB", lambda used: used.memory, _NEAR),
        ("CPU, of a core", "%", lambda used: used.cpu, _UNDER_ONE),
        ("Redis commands a second", "/s", lambda used: used.redis, _NEAR),
    )
    for what, unit, figure, goal in figures:
        ours, plain = (Samples.of(map(figure, seen[who])) for who in (ledger, PLAIN))
        yield Row("idle", f"idle worker: {what} ({ledger})", unit, ours, plain, PLAIN, goal)
    what = f"idle worker: database transactions a second ({ledger})"
    if ledger == POSTGRES:
        yield Row("idle", what, "/s", Samples.of(used.database for used in seen[ledger]))
    else:
        yield Row("idle", what, "/s", not_measured="SQLite keeps no count of them")
