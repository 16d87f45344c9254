"""A deployment with a client of the producer's library, for tests of the two together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import ledger.core.job
from earwitness_client import Earwitness, Job

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"


class House:
    """A deployment with one account of four recordings, and a client of it."""

    def __init__(self, deployment: Deployment, account: Any, client: Earwitness) -> None:
        self.deployment = deployment
        self.account = account
        self.client = client
        self.recording = str(account.recordings()[0]["id"])

    def day(self) -> Job[Any]:
        """Ask for the day's export."""
        return self.client.export.run(account="india", day=DAY)

    def runs(self) -> list[ledger.core.job.Job]:
        """The days' own jobs in the ledger."""
        return self.deployment.ledger.jobs.jobs(kind="export.run")

    def hold_back(self) -> None:
        """No export is ready at the provider until ``release``."""
        self.account.configure(ready_after_polls=1_000_000)

    def release(self) -> None:
        """Every export is ready from now on."""
        self.account.configure(ready_after_polls=0)

    def until_it_waits(self) -> None:
        """Wait until the day's export waits at the provider."""
        eventually(self._waits, what="the export does not wait")

    def _waits(self) -> bool:
        parts = self.deployment.ledger.jobs.jobs(kind="export.retrieve")
        return any(part.state == "waiting" for part in parts)


@contextmanager
def client_house(deploy: Callable[..., Deployment], simulators: Simulators) -> Iterator[House]:
    """Everything but a worker."""
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.seed(DAY, ZONE, 4)
    account.configure(ready_after_polls=0)
    deployment = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    with Earwitness(deployment.valkey.url) as client:
        yield House(deployment, account, client)


class Waiting(threading.Thread):
    """Somebody who waits for a job, on a thread of its own."""

    def __init__(self, job: Job[Any]) -> None:
        super().__init__(daemon=True)
        self._job = job
        self.result: Any = None
        self.start()

    def run(self) -> None:
        """Wait for the result."""
        try:
            self.result = self._job.wait(90)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.result = error

    def answered(self) -> Any:
        """What came in the end."""
        return eventually(lambda: self.result, within=90, what="nothing came")
