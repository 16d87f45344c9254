"""A rolling restart of three hosts that adds accounts, under load: nothing fails, nothing begins
anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery

from ledger.core import states

from .certified_calls import ASKED, call_house
from .deployment import Deployment, account_toml
from .hosts import Host
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .test_transfers_survive import resumed_from
from .waiting import eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(280)]

SIZE = 60_000_000
SECONDS = 30
NEW_DAYS = 6


@contextmanager
def calling(app: Celery, alias: str) -> Iterator[list[Any]]:
    """Ask for a call of the account every second; the answers."""
    asked: list[Any] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(1):
            given = {**ASKED, "account": alias, "request_id": f"{alias}-{len(asked)}"}
            asked.append(
                app.send_task("earwitness.certified_call.request", kwargs=given, queue="earwitness")
            )

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join()


def test_three_hosts_are_restarted_with_more_accounts(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """Calls every second, of the new account, too, once one host knows it; six days of another new
    account; a transfer that takes longer than all of it.
    """
    office = call_house(deploy, simulators, settings={"LEASE_SECONDS": "10"})
    house = office.house
    india = simulators.vonage.account(username="india")
    india.seed(YESTERDAY, ZONE, 4, size_bytes=SIZE // 4)
    india.configure(bytes_per_second=SIZE // SECONDS, ready_after_polls=0)
    with house.accounts_file.open("a") as file:
        file.write(account_toml("india", india.configuration(), {"timezone": ZONE}))
    third, other = simulators.vonage.account(username="third"), simulators.gsmblockchain.account()
    days = [YESTERDAY - timedelta(days=number) for number in range(NEW_DAYS)]
    for day in days:
        third.seed(day, ZONE, 1)
    added = account_toml("other", {**other.configuration(), "timeout_seconds": 20})
    added += account_toml("third", third.configuration(), {"timezone": ZONE})
    hosts = [Host(house, name, 0) for name in ("a", "b", "c")]
    workers = [host.worker_of_it() for host in hosts]
    with house.producer() as app, calling(app, "legal") as calls:
        run = house.send(app, "export.run", account="india", day=YESTERDAY.isoformat())
        eventually(lambda: any(host.parts() for host in hosts), what="no transfer")
        for number, host in enumerate(hosts):
            with host.accounts_file.open("a") as file:
                file.write(added)
            workers[number].stop()
            host.worker_of_it()
            if number == 0:
                new = [
                    house.send(app, "export.run", account="third", day=day.isoformat())
                    for day in days
                ]
        with calling(app, "other") as more:
            for one in (run, *new):
                assert one.get(timeout=120)
    answers = [one.get(timeout=60)["state"] for one in (*calls, *more)]
    assert set(answers) == {"done"}
    assert len(more) > 0
    assert not house.ledger.jobs.jobs(state=states.FAILED)
    assert office.placed() + len(other.calls()) == len(answers)
    exports = [one for one in simulators.log.exports() if one["account"] == "india"]
    (export,) = exports
    transfers = simulators.log.transfers(export["job_ids"][0])
    assert len(transfers) == 2
    assert resumed_from(transfers[1]) > 0
    assert simulators.log.sent_bytes(export["job_ids"][0]) < 1.2 * SIZE
