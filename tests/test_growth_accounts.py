"""Thousands of accounts: what is done once for all of them is not done once for each."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from config.accounts import Account
from config.nightly import Nightly
from ledger.archive_record import KnownHead
from ledger.ledger import Ledger
from ledger.stats import Stats
from tasks.archive_watch.watch import few_in_turn
from worker.metrics.gauges import LedgerGauges
from worker.metrics.stats_cache import StatsCache

from .ledgers import opened


class Asked(Stats):
    """Statistics that count how often they collect the newest days."""

    times = 0

    def newest_days(self) -> dict[str, date]:
        """As ever."""
        Asked.times += 1
        return super().newest_days()


class Nightlong(Account):
    """An account with nights."""

    @property
    def nights(self) -> Nightly:
        """Every night."""
        return Nightly.model_validate({"at": "02:00", "timezone": "UTC"})


def test_a_scrape_collects_the_newest_days_once() -> None:
    """With 50 accounts as with one."""
    given: dict[str, Any] = {"provider": "x", "base_url": "http://127.0.0.1"}
    accounts = {f"a{n}": Nightlong.model_validate({"alias": f"a{n}", **given}) for n in range(50)}
    nothing: dict[str, list[Any]] = {
        name: [] for name in Stats.__dataclass_fields__ if name != "quarantined"
    }
    Asked.times = 0
    asked = StatsCache(lambda: Asked(**nothing, quarantined=False))
    gauges = LedgerGauges(asked, lambda: accounts, lambda: None)

    families = {family.name: family for family in gauges.collect()}

    assert len(families["earwitness_nights_unplanned"].samples) == 50
    assert Asked.times == 1


def test_the_archive_watch_looks_at_every_chain_in_turn() -> None:
    """A few chains a round, each once before any comes again; a few chains all in each round."""
    heads = [KnownHead(f"a{number:04}", 1, "0" * 64) for number in range(450)]
    seen: list[str] = []
    rounds = []
    for _ in range(4):
        some = few_in_turn(heads, after=seen[-1] if seen else "")
        rounds.append(len(some))
        seen += [head.account for head in some]

    assert rounds == [200, 200, 50, 200]
    assert seen[:450] == [head.account for head in heads]
    assert seen[450:] == seen[:200]
    assert few_in_turn(heads[:3], after="a0002") == heads[:3]
    assert few_in_turn([], after="a0002") == []


@pytest.mark.parametrize("account", ["india", "branch"])
def test_the_last_file_under_each_chain_is_found_at_once(ledger: Ledger, account: str) -> None:
    """Of all accounts that are asked for, and of no other."""
    for name in ("india", "branch", "other"):
        job = opened(ledger, f"of {name}", account=name)
        for number in range(3):
            covered = {"path": f"{name}/{number}", "sha256": "0" * 64}
            ledger.outbox.owe(job.job_id, name, "chain", covered)
    found = ledger.outbox.due(limit=9)
    pending = max(one.id for one in found if one.account == account)
    ledger.outbox.discharged([one.id for one in found if one.id != pending])

    newest = ledger.archive_record.newest({"india", "branch", "never"})

    paths = {name: one.path for name, one in newest.items()}
    assert paths == {name: f"{name}/{1 if name == account else 2}" for name in ("india", "branch")}
    assert ledger.archive_record.newest({"never"}) == {}
