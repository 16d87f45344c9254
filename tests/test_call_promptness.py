"""A certified call never waits behind transfers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta

from .certified_calls import call_house
from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

DAY = date(2026, 11, 1)
MB = 1_000_000
TRANSFERS = 8
#: So slow that a call that waited for a transfer would take far longer than any machine does.
BYTES_PER_SECOND, PATIENCE_SECONDS = MB, 120
#: What holds the machine up does not count: the quickest of a few calls tells.
PROMPT_SECONDS, TRIES = 2.0, 8


def test_a_call_reaches_the_platform_beside_eight_large_transfers(
    deploy: Deploy, simulators: Simulators
) -> None:
    """One worker, eight transfers of 200 MB due at 1 MB/s: a call is at the platform at once, and
    has ended before any of them.
    """
    india = simulators.vonage.account(username="john.doe@vbc.prod")
    india.configure(bytes_per_second=BYTES_PER_SECOND, ready_after_polls=0)
    days = [DAY + timedelta(days=number) for number in range(TRANSFERS)]
    for day in days:
        india.seed(day, "Asia/Kolkata", 4, size_bytes=50 * MB)
    calling = call_house(deploy, simulators, timeout_seconds=30)
    with calling.house.accounts_file.open("a") as file:
        file.write(account_toml("india", india.configuration(), {"catchup_days": 1}))
    calling.house.worker()
    with calling.house.producer() as app:
        for day in days:
            calling.house.send(app, "export.run", account="india", day=day.isoformat())
        jobs = calling.house.ledger.jobs
        eventually(
            lambda: (
                len(jobs.jobs(kind="export.retrieve")) == TRANSFERS
                and any(job.transfer for job in jobs.jobs(kind="export.retrieve"))
            ),
            within=PATIENCE_SECONDS,
            what="the transfers were not under way",
        )
        took: list[float] = []
        while not took or (took[-1] >= PROMPT_SECONDS and len(took) < TRIES):
            enqueued = time.time()
            calling.ask(app, f"r{len(took)}").get(timeout=PATIENCE_SECONDS)
            took.append(calling.platform.calls()[-1]["at"] - enqueued)
    assert took[-1] < PROMPT_SECONDS, took
    assert all(job.state != "done" for job in jobs.jobs(kind="export.retrieve"))
