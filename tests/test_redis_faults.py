"""Redis is only a messenger: what it loses, breaks or sleeps through costs time, nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from .days import FIRST, Days
from .deployment import Deployment
from .servers import Valkey
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

#: Longer than the five seconds that the result backend waits; and as long as it was promised.
FREEZES = [
    pytest.param(7, id="7s"),
    pytest.param(30, id="30s", marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
]


class Caller(threading.Thread):
    """An application that waits in ``AsyncResult.get()``, on a thread of its own."""

    def __init__(self, result: Any) -> None:
        super().__init__(daemon=True)
        self._result = result
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        """Wait for the answer; again if Celery's new connection was cut while it was opened."""
        try:
            try:
                self.answer = self._result.get(timeout=90)
            except redis.ConnectionError:
                self.answer = self._result.get(timeout=90)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.answer = error

    def answered(self) -> Any:
        """What it was told, in the end."""
        return eventually(lambda: self.answer, within=90, what="the caller was not answered")


@contextmanager
def running(deploy: Deploy, simulators: Simulators) -> Iterator[tuple[Days, Caller]]:
    """Three days wait, one transfers, and the caller of that one waits for its result."""
    days = Days(deploy, simulators)
    days.house.worker("first")
    days.house.worker("second")
    with days.house.producer() as app:
        results = days.ask(app)
        yield days, Caller(results[0])


def flush(valkey: Valkey) -> int:
    """Empty Redis; how many keys were there in that very moment."""
    with valkey.client() as client, client.pipeline(transaction=True) as pipeline:
        pipeline.flushall()
        pipeline.dbsize()
        return int(pipeline.execute()[1])


def end_well(days: Days) -> None:
    """The provider has everything ready; every day is archived, by the same two workers."""
    days.release()
    days.archived()
    assert all(process.alive for process in days.house.processes)


def test_redis_emptied_three_times(deploy: Deploy, simulators: Simulators, valkey: Valkey) -> None:
    """FLUSHALL, again and again, while jobs wait and one transfers: everything ends archived, by
    one export for each day and one transfer, and nobody did anything for it.
    """
    with running(deploy, simulators) as (days, caller):
        for share in (0.06, 0.09, 0.12):
            days.until_held(share)
            assert flush(valkey) == 0
        end_well(days)
        assert caller.answered()["archived"] == 4
        assert len(days.transfers()) == 1


def test_redis_restarted_without_what_it_held(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """Redis ends, stays away and comes back empty: the transfer goes on meanwhile, and whatever was
    due is announced again.
    """
    with running(deploy, simulators) as (days, _):
        valkey.stop()
        before = days.held()
        eventually(lambda: days.held() > before, what="the transfer stood still without Redis")
        time.sleep(2)  # away for longer than a lease: the fault itself, not a wait for anything
        valkey.start()
        with valkey.client() as client:
            assert client.info("persistence")["aof_enabled"] == 0
        end_well(days)


@pytest.mark.parametrize("seconds", FREEZES)
def test_redis_frozen_and_thawed(
    deploy: Deploy, simulators: Simulators, valkey: Valkey, seconds: float
) -> None:
    """Redis stops answering with every connection open; a transfer ends meanwhile. Afterwards the
    caller that waited since before gets its result, and everything ends archived.
    """
    with running(deploy, simulators) as (days, caller):
        valkey.freeze()
        frozen_at = time.monotonic()
        try:
            days.hurry()
            eventually(days.transferred, what="the transfer needs Redis")
            assert caller.answer is None
            while time.monotonic() < frozen_at + seconds:
                time.sleep(0.1)
        finally:
            valkey.thaw()
        assert caller.answered()["job_id"] == days.runs("moving")[0].job_id
        end_well(days)


def test_every_connection_to_redis_killed(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """CLIENT KILL of all, twice: workers and caller connect again."""
    with running(deploy, simulators) as (days, caller):
        for share in (0.06, 0.09):
            days.until_held(share)
            assert kill_connections(valkey) > 0
        end_well(days)
        assert caller.answered()["archived"] == 4
        with days.house.producer() as app:
            again = days.house.send(app, "export.run", account="moving", day=FIRST.isoformat())
            assert again.get(timeout=60)["job_id"] == days.runs("moving")[0].job_id


def kill_connections(valkey: Valkey) -> int:
    """Cut every connection but our own; how many there were."""
    with valkey.client() as client:
        killed = [
            client.execute_command("CLIENT", "KILL", "TYPE", kind) for kind in ("normal", "pubsub")
        ]
    return sum(int(one) for one in killed)
