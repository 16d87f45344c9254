"""What a provider asks of an account holds for all its jobs and all its workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from .deployment import Deployment, account_toml
from .simulators import Simulators
from .waiting import eventually

DAY = date(2026, 11, 10)
ZONE = "Asia/Kolkata"
Deploy = Callable[..., Deployment]


def instants(simulators: Simulators, operation: str) -> list[float]:
    """When each request of an operation came, in seconds."""
    return [_seconds(one["at"]) for one in simulators.log.requests(operation, None)]


def _seconds(at: object) -> float:
    return at if isinstance(at, float) else datetime.fromisoformat(str(at)).timestamp()


def test_an_account_told_to_wait_rests_as_a_whole(deploy: Deploy, simulators: Simulators) -> None:
    """One 429 with Retry-After: none of the account's jobs sends anything until it is over, and
    the reason is shown; then all continue.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=0)
    days = [DAY + timedelta(days=n) for n in range(3)]
    for day in days:
        account.seed(day, ZONE, 2)
    account.fault("list", "answer", status=429, retry_after=12)
    house = deploy(account_toml("india", account.configuration(), {"catchup_days": 1}))
    house.worker("first")
    house.worker("second")
    with house.producer() as app:
        first = house.send(app, "export.run", account="india", day=days[0].isoformat())
        eventually(
            lambda: house.ledger.accounts.pause("india") is not None,
            what="the account did not rest",
        )
        others = [
            house.send(app, "export.run", account="india", day=day.isoformat()) for day in days[1:]
        ]
        eventually(
            lambda: all("asked to wait" in str(other.info) for other in others),
            what="the reason is not shown",
        )
        for run in (first, *others):
            assert run.get(timeout=60)["archived"] == 2
    refused, *later = instants(simulators, "list")
    assert min(later) - refused >= 12


def test_a_rate_is_shared_by_all_workers(deploy: Deploy, simulators: Simulators) -> None:
    """``rate = "3/second"`` over two workers and four days: no second sees more than three requests
    and those that were already on their way.
    """
    account = simulators.vonage.account(username="john.doe@vbc.prod")
    account.configure(ready_after_polls=1)
    days = [DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        account.seed(day, ZONE, 2)
    configuration = {**account.configuration(), "rate": "3/second"}
    house = deploy(account_toml("india", configuration, {"catchup_days": 1}))
    house.worker("first")
    house.worker("second")
    with house.producer() as app:
        runs = [house.send(app, "export.run", account="india", day=day.isoformat()) for day in days]
        for run in runs:
            assert run.get(timeout=90)["archived"] == 2
    came = sorted(
        at for operation in ("list", "export", "retrieve") for at in instants(simulators, operation)
    )
    assert len(came) >= 4 * 6
    # Twenty spaced requests take almost seven seconds, whichever worker sends them. On a busy
    # machine the first one may arrive late.
    assert came[20] - came[0] >= 5
