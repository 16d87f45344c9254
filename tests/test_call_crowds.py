"""Many who ask at once: one call for one request id, and never more than the cap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from . import forked
from .certified_calls import ASKED, CallHouse, call_house
from .deployment import Deployment, account_toml
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

PRODUCERS = 8
EACH = 25
#: Zones of the same hours, the second a day ahead: the cap's day passes without anybody's clock
#: being moved. Midnight is at noon UTC in the first two, and at ten in the others.
AT_NOON, AT_TEN = ("Etc/GMT+12", "Etc/GMT-12"), ("Etc/GMT+10", "Etc/GMT-14")


def today_and_tomorrow() -> tuple[str, str]:
    """Return two zones, one a day behind the other, whose midnight is an hour away at least."""
    return AT_TEN if datetime.now(UTC).hour in (11, 12) else AT_NOON


def produce(url: str, count: int) -> list[Any]:
    """Ask so many times for the same call, each time under a task id of its own; the results as
    Celery gives them.
    """
    with Celery("caller", broker=url, backend=url) as app:
        asked = [
            app.send_task(
                "earwitness.certified_call.request",
                kwargs={**ASKED, "request_id": "the-one"},
                queue="earwitness",
            )
            for _ in range(count)
        ]
        return [one.get(timeout=100) for one in asked]


@contextmanager
def crowd(calling: CallHouse) -> Iterator[list[Any]]:
    """Eight processes that ask 25 times each; what they were told, once the context has ended."""
    told: list[Any] = []
    with ProcessPoolExecutor(PRODUCERS, mp_context=forked.context) as processes:
        url = calling.house.valkey.url
        begun = [processes.submit(produce, url, EACH) for _ in range(PRODUCERS)]
        yield told
        for one in begun:
            told += one.result(120)


@pytest.mark.timeout(240)
def test_one_request_under_200_task_ids_is_one_call(deploy: Deploy, simulators: Simulators) -> None:
    """Eight producers, three workers, a call that lasts three seconds: one call, 200 equal
    results.
    """
    calling = call_house(deploy, simulators, timeout_seconds=30)
    calling.platform.configure(answer_seconds=3.0)
    for name in ("first", "second", "third"):
        calling.house.worker(name)
    with crowd(calling) as told:
        pass
    assert len(told) == PRODUCERS * EACH
    assert all(one == told[0] for one in told)
    assert told[0]["platform_phone"] == calling.platform.calls()[0]["platform_phone"]
    assert calling.placed() == 1


@pytest.mark.timeout(240)
def test_a_crowd_before_a_platform_that_is_down_blocks_nobody(
    deploy: Deploy, simulators: Simulators, tmp_path: Path
) -> None:
    """The platform is down for the first ten seconds: every slot stays free, so that an export is
    archived meanwhile; then there is one call, and everybody is told the same.
    """
    port, day = free_port(), date(2026, 11, 10)
    india = simulators.vonage.account(username="john.doe@vbc.prod")
    india.seed(day, "Asia/Kolkata", 4)
    calling = call_house(
        deploy,
        simulators,
        timeout_seconds=30,
        base_url=f"http://127.0.0.1:{port}/gsmblockchain",
    )
    with calling.house.accounts_file.open("a") as file:
        file.write(account_toml("india", india.configuration(), {"catchup_days": 1}))
    began = time.monotonic()
    for name in ("first", "second", "third"):
        calling.house.worker(name)
    with ExitStack() as up:
        with crowd(calling) as told:
            calling.in_state("the-one", "waiting")
            with calling.house.producer() as app:
                run = calling.house.send(app, "export.run", account="india", day=day.isoformat())
                assert run.get(timeout=60)["archived"] == 4
            time.sleep(max(0.0, began + 10 - time.monotonic()))  # the fault itself lasts so long
            back = Simulators(port=port, data=tmp_path / "back")
            account = back.gsmblockchain.account(
                username=calling.platform.username, password=calling.platform.password
            )
            up.enter_context(back)
        assert len(told) == PRODUCERS * EACH
        assert all(one == told[0] for one in told)
        assert len(account.calls()) == 1


@pytest.mark.parametrize("ledger_url", ["sqlite", "postgres"], indirect=True)
def test_a_cap_of_three_places_three_of_twenty(
    deploy: Deploy, simulators: Simulators, ledger_url: str
) -> None:
    """At once, on three workers; the rest fail with CapReached and open no job, so the same ids are
    placed on another day.
    """
    today, tomorrow = today_and_tomorrow()
    calling = call_house(
        deploy, simulators, ledger_url=ledger_url, max_calls_per_day=3, timezone=today
    )
    workers = [calling.house.worker(name) for name in ("first", "second", "third")]
    with calling.house.producer() as app:
        told = _ask(calling, app, [f"r{number}" for number in range(20)])
        placed = [name for name, answer in told.items() if answer == "placed"]
        assert len(placed) == 3
        assert calling.placed() == 3
        assert sorted(told.values()) == ["CapReached"] * 17 + ["placed"] * 3
        assert len(calling.house.ledger.jobs.jobs()) == 3
        for worker in workers:
            worker.stop()
        text = calling.house.accounts_file.read_text()
        calling.house.accounts_file.write_text(text.replace(today, tomorrow))
        calling.house.worker("tomorrow")
        refused = [name for name, answer in told.items() if answer == "CapReached"][:3]
        assert set(_ask(calling, app, refused).values()) == {"placed"}
        assert set(_ask(calling, app, placed).values()) == {"placed"}
    assert calling.placed() == 6


def _ask(calling: CallHouse, app: Celery, names: list[str]) -> dict[str, str]:
    """What each of these requests was told: that the call is placed, or the error's name."""
    asked = {name: calling.ask(app, name) for name in names}
    return {name: _told(one) for name, one in asked.items()}


def _told(asked: Any) -> str:
    try:
        return "placed" if asked.get(timeout=60)["state"] == "done" else "?"
    except Exception as error:  # noqa: BLE001 - its name is what is looked at
        return type(error).__name__


def test_a_ledger_without_a_past_beside_receipts_is_refused(
    deploy: Deploy, simulators: Simulators
) -> None:
    """An archive that holds receipts and a ledger that knows nothing: the worker does not start,
    says why, and no call leaves, though one is asked for.
    """
    calling = call_house(deploy, simulators)
    worker = calling.house.worker()
    with calling.house.producer() as app:
        calling.ask(app, "r1").get(timeout=60)
        eventually(calling.receipts)
        worker.stop()
        for path in calling.house.folder.glob("ledger.sqlite3*"):
            path.unlink()
        calling.ask(app, "r1")
        refused = calling.house.worker("again", ready=False)
        assert refused.popen.wait(timeout=60) != 0
    assert "belongs to ledger" in refused.log()
    assert calling.placed() == 1
