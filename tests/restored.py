"""A loaded night that is cut off: what several files of tests do with its ledger afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery

from ledger.core import states

from .certified_calls import CallHouse
from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators
from .waiting import eventually

_NEVER = 1_000_000
MB = 1_000_000


class Night:
    """Three accounts with two nights each: ``early`` is archived, ``moving`` transfers its ZIPs
    within ``seconds``, ``waiting`` polls; and ``legal`` places certified calls, five a day.
    """

    def __init__(
        self,
        deploy: Callable[..., Deployment],
        simulators: Simulators,
        *,
        seconds: float = 600,
        **options: Any,
    ) -> None:
        self.accounts = {
            alias: simulators.vonage.account(username=f"{alias}@vbc.prod")
            for alias in ("early", "moving", "waiting")
        }
        self.accounts["early"].configure(ready_after_polls=0)
        self.accounts["moving"].configure(
            ready_after_polls=0, bytes_per_second=round(4 * MB / seconds)
        )
        self.accounts["waiting"].configure(ready_after_polls=_NEVER)
        for alias, account in self.accounts.items():
            for back in range(2):
                size = {"size_bytes": MB} if alias == "moving" else {}
                account.seed(YESTERDAY - timedelta(days=back), ZONE, 4, **size)
        platform = simulators.gsmblockchain.account()
        legal = {**platform.configuration(), "timeout_seconds": 20, "max_calls_per_day": 5}
        # In this zone no midnight comes while the test runs; it would allow five more calls.
        legal["timezone"] = ZONE
        nights = [
            account_toml(alias, account.configuration(), {"timezone": ZONE, "catchup_days": 2})
            for alias, account in self.accounts.items()
        ]
        self.house = deploy("\n".join([*nights, account_toml("legal", legal)]), **options)
        self.calls = CallHouse(self.house, platform)

    def begin(self, app: Celery) -> None:
        """Plan the nights, and return once one account is archived and the others are at work."""
        self.house.send(app, "nightly.plan")
        eventually(
            lambda: self.states("early") == ["complete"] * 2,
            within=60,
            what="early was not archived",
        )
        eventually(
            lambda: list(self.house.spool.glob("zip-*.part")), what="nothing was transferred"
        )
        assert self.states("moving") == self.states("waiting") == ["running"] * 2

    def states(self, alias: str) -> list[str]:
        """The states of an account's days."""
        return [day.state for day in self.house.ledger.days.of(alias)]

    def place(self, app: Celery) -> None:
        """Four calls whose outcome is known, or known to be unknown; the last is decided."""
        platform, house = self.calls.platform, self.house
        self.calls.ask(app, "placed").get(timeout=30)
        platform.fault("call", "ko", message="no credit")
        self.told(app, "refused")
        for request_id in ("unknown", "decided"):
            platform.fault("call", "answer", status=500, body={})
            self.told(app, request_id)
        done = house.run("resolve", "decided", "--placed", "--by", "ana", "--note", "in the panel")
        assert done.returncode == 0, done.stderr
        eventually(lambda: len(self.calls.receipts()) == 5, what="receipts are missing")

    def leave(self, app: Celery) -> None:
        """A fifth call: the platform has it, and does not answer."""
        placed = self.calls.placed()
        self.calls.platform.fault("call", "hang", when="after")
        self.calls.ask(app, "in_flight")
        self.calls.in_state("in_flight", "sending")
        eventually(lambda: self.calls.placed() == placed + 1, what="the call did not arrive")

    def told(self, app: Celery, request_id: str, **given: Any) -> tuple[str, Any]:
        """How a call ends for its caller: the exception, or "done", and what is said."""
        answer = self.calls.ask(app, request_id, **given).get(timeout=30, propagate=False)
        if isinstance(answer, Exception):
            return type(answer).__name__, str(answer)
        return "done", answer

    def die(self) -> None:
        """Every process of ours is killed in this moment."""
        for process in self.house.processes:
            process.kill()

    def end(self, app: Celery, within: float = 90) -> None:
        """The providers have everything ready and send it fast; every day is complete."""
        self.accounts["waiting"].configure(ready_after_polls=0)
        self.accounts["moving"].configure(bytes_per_second=None)
        self.house.send(app, "nightly.plan")

        def complete() -> bool:
            found = [day.state for alias in self.accounts for day in self.days(alias)]
            return found == [states.DAY_COMPLETE] * 6

        eventually(complete, within=within, what="not every day was completed")
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="something is owed")

    def days(self, alias: str) -> list[Any]:
        """The days of an account as they stand now."""
        return self.house.ledger.days.of(alias)


def sums(root: Path) -> dict[str, str]:
    """Every file of an archive by its path, and its sum; but those that are being written."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".incoming" not in path.parts
    }
