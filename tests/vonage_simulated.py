"""Clients of the simulated Vonage provider, and what tests do with them."""

from __future__ import annotations

from datetime import date
from typing import Any

from providers.vonage.account import VonageAccount
from providers.vonage.client import Vonage

from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import MemoryShelf

DAY = date(2026, 11, 19)
ZONE = "Asia/Kolkata"
WINDOW = {"start:gte": "2026-11-18T18:30:00Z", "start:lte": "2026-11-19T18:29:59Z"}


def seeded(
    simulators: Simulators, region: str = "india", user_id: str | None = None
) -> AccountDoor:
    """A new account with seven recordings, on-demand ones of a user if one is named, whose exports
    are ready at once.
    """
    account = simulators.vonage.account(ready_after_polls=0, region=region)
    account.seed(DAY, ZONE, 7, 5000, user_id=user_id)
    return account


def connect(door: AccountDoor, shelf: MemoryShelf, **more: Any) -> Vonage:
    """A client of the account, as one more worker has it."""
    table = {"alias": "india", "timeout_seconds": 10, **door.configuration(), **more}
    return Vonage(VonageAccount.model_validate(table), shelf)


def ids(door: AccountDoor) -> list[str]:
    """Every recording there is, of the company and on demand."""
    on_demand = door.recordings("self") if door.region == "global" else []
    return sorted(str(one["id"]) for one in [*door.recordings(), *on_demand])


def saved(vonage: Vonage, job: str, held: bytes = b"", etag: str | None = None) -> bytes:
    """The whole ZIP, going on from what is held."""
    with vonage.retrieve(job, etag=etag, offset=len(held)) as body:
        return held[: body.offset] + b"".join(body.chunks())
