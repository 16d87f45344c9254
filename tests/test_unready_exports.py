"""The reason that an export shows while its provider has not made it."""

from __future__ import annotations

from collections.abc import Callable

from ledger.core import states

from .deployment import Deployment
from .simulators import Simulators
from .test_creation import DAY, night
from .waiting import eventually

USUAL = "not ready yet (HTTP 404: Export job not found)"
DOUBT = "or login_name john.doe is not the user who created the job: check login_name"


def test_a_wrong_user_is_suspected_only_after_ten_polls(
    deploy: Callable[..., Deployment], simulators: Simulators
) -> None:
    """A healthy export says that it is not ready yet; one that stays so names what to check."""
    house, account = night(deploy, simulators)
    account.configure(ready_after_polls=1_000_000)

    def polled() -> tuple[int, str] | None:
        found = house.ledger.jobs.jobs(kind="export.retrieve")
        if not found or found[0].state != states.WAITING or not found[0].reason:
            return None
        return int(found[0].work.get("polls", 0)), found[0].reason

    def doubts() -> str | None:
        state = polled()
        if state is None:
            return None
        polls, reason = state
        assert (DOUBT in reason) == (polls > 10), state
        return reason if polls > 10 else None

    with house.producer() as app:
        house.send(app, "export.run", account="india", day=DAY.isoformat())
        first = eventually(polled, what="the export did not wait")
        assert first[0] > 10 or first[1].endswith(USUAL)
        assert eventually(doubts, what="nothing was suspected").endswith(f"{USUAL}; {DOUBT}")
