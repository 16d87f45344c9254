"""A house for the pages of docs/producers: a worker, and two accounts that a page may name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from .deployment import Deployment, account_toml
from .pages import Reader
from .simulators import Simulators
from .waiting import eventually

#: A day on which the account ``india`` has recordings, and its time zone.
DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"


@dataclass
class ProducerHouse:
    """A deployment with a worker. ``platform`` is where the account ``legal`` places its calls,
    ``office`` the four recordings of the account ``india``.
    """

    deployment: Deployment
    platform: Any
    office: Any

    @property
    def environment(self) -> dict[str, str]:
        """What somebody who follows a page has set."""
        return {"REDIS_URL": self.deployment.valkey.url}

    @property
    def settings(self) -> dict[str, str]:
        """What stands in the worker's .env."""
        environment = self.deployment.environment
        return {name: one for name, one in environment.items() if name.startswith("EARWITNESS_")}

    def placed(self) -> int:
        """How many calls the platform has counted."""
        return len(self.platform.calls())

    def states(self, kind: str) -> list[str]:
        """The states of the jobs of a kind."""
        return [job.state for job in self.deployment.ledger.jobs.jobs(kind=kind)]

    def takes_long(self, reader: Reader, asks: str) -> None:
        """A program of the page asks for a night whose export is not ready; the page's next command
        finds it so, and those after that find it ready.
        """
        self.office.configure(ready_after_polls=1_000_000)
        reader.run(asks)
        eventually(lambda: self.states("export.retrieve") == ["waiting"], what="no export waits")
        reader.follow(1)
        self.office.configure(ready_after_polls=0)
        reader.follow()


def producer_house(
    deploy: Callable[..., Deployment], simulators: Simulators, *, day: date = DAY, zone: str = ZONE
) -> ProducerHouse:
    """A house with a worker that is ready; ``day``, as ``zone`` counts it, has the recordings."""
    platform = simulators.gsmblockchain.account()
    office = simulators.vonage.account()
    office.seed(day, zone, 4)
    office.configure(ready_after_polls=0)
    company = {"company_name": "MyCompany", "company_id": "A4562154"}
    accounts = [
        account_toml("legal", {**platform.configuration(), **company}),
        account_toml("india", office.configuration(), {"catchup_days": 1, "timezone": zone}),
    ]
    house = ProducerHouse(deploy("\n".join(accounts)), platform, office)
    house.deployment.worker()
    return house
