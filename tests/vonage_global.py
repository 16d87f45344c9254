"""What the tests of Vonage's global API share."""

from __future__ import annotations

from typing import Any

from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import Provider
from .vonage_simulated import DAY, ZONE


def seeded(simulators: Simulators, **switches: Any) -> AccountDoor:
    """A new account with seven company recordings and five on-demand ones of one day, whose exports
    are ready at once.
    """
    made = simulators.vonage.account(region="global", **{"ready_after_polls": 0, **switches})
    made.seed(DAY, ZONE, 7, 5000)
    made.seed(DAY, ZONE, 5, 5000, user_id="self")
    return made


def addresses(provider: Provider) -> list[str]:
    """What was asked for: each method, and the address without its query."""
    return [f"{one.method} {one.url.copy_with(query=None)}" for one in provider.requests]
