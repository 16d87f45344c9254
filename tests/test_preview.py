"""The look before an export asks the provider for one page, if that states a total."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .deployment import account_toml
from .recent_days import YESTERDAY
from .simulators import Simulators
from .test_tasks import DAY, Deploy
from .waiting import eventually

#: For each account: the recordings of its day, the provider's habits, the pages that are asked for
#: before the export is created.
CASES: dict[str, tuple[int, dict[str, Any], int]] = {
    "many": (250, {}, 1),
    "few": (3, {}, 1),
    "capped": (30, {"page_size_cap": 20}, 1),
    "no_total": (250, {"totals": "absent"}, 6),
    "pages_from_0": (3, {"first_page": 0}, 3),
    "sizes_absent": (120, {"sizes": "absent"}, 1),
}


def test_one_page_is_asked_for_before_an_export(deploy: Deploy, simulators: Simulators) -> None:
    """However many recordings the day has, and whatever size its pages are. Only where the page
    states no total, or one that cannot be, the rest is read. All are archived.
    """
    accounts = {alias: simulators.vonage.account() for alias in CASES}
    for alias, (count, habits, _) in CASES.items():
        accounts[alias].seed(DAY, "UTC", count, size_bytes=2_000)
        accounts[alias].seed(DAY + timedelta(days=1), "UTC", 3)
        accounts[alias].configure(ready_after_polls=0, **habits)
    house = deploy(
        "\n".join(account_toml(alias, one.configuration()) for alias, one in accounts.items())
    )
    house.worker()
    with house.producer() as app:
        asked = {
            alias: house.send(app, "export.run", account=alias, day=DAY.isoformat())
            for alias in CASES
        }
        archived = {alias: one.get(timeout=120)["archived"] for alias, one in asked.items()}
    assert archived == {alias: count for alias, (count, _, _) in CASES.items()}
    pages = {}
    for alias, account in accounts.items():
        (created,) = simulators.log.exports(account.username)
        looks = simulators.log.requests("list", account.username)
        pages[alias] = sum(1 for one in looks if one["n"] < created["n"])
    assert pages == {alias: wanted for alias, (_, _, wanted) in CASES.items()}


def test_an_unsettled_day_is_looked_at_by_one_page(deploy: Deploy, simulators: Simulators) -> None:
    """The provider's clock, which is in the same answer, says that the day may still change: the
    export waits, whether or not the page states a total, and no further page is asked for.
    """
    account = simulators.vonage.account()
    account.seed(YESTERDAY, "UTC", 250, size_bytes=2_000)
    account.configure(totals="absent", clock_offset=-7 * 86_400)
    house = deploy(account_toml("india", account.configuration()))
    house.worker()
    with house.producer() as app:
        house.send(app, "export.run", account="india", day=YESTERDAY.isoformat())
        eventually(
            lambda: any("settles until" in (job.reason or "") for job in house.ledger.jobs.jobs()),
            what="the export does not wait",
        )
    assert len(simulators.log.requests("list", account.username)) == 1
    assert simulators.log.exports(account.username) == []
