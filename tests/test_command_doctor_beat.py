"""``doctor`` on beat: late nights are an error only where a tick should have come."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from socket import gethostname
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from config.accounts import Account
from config.nightly import Nightly
from config.queues import TICKED
from ledger.core.schema import ledger as ledger_table
from ledger.stats import Stats
from worker.health.heartbeat_files import Mark, write
from worker.metrics.gauges import LedgerGauges
from worker.metrics.stats_cache import StatsCache

from .deployment import Deployment, account_toml
from .ledgers import pass_time
from .recent_days import YESTERDAY, ZONE
from .simulators import Simulators

BEAT = f"beat@{gethostname()}"


@pytest.fixture
def house(deploy: Callable[..., Deployment], simulators: Simulators) -> Deployment:
    """A deployment with a night to plan, which no beat has planned yet."""
    account = simulators.vonage.account()
    deployment = deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 1})
    )
    assert deployment.ledger.days.newest("india") is None
    return deployment


def beat(house: Deployment) -> tuple[str, str]:
    """The level of what doctor finds about beat, and what it says."""
    found = json.loads(house.run("doctor", "--json").stdout)
    (one,) = [finding for finding in found if finding["subject"] == "beat"]
    return one["level"], f"{one['meaning']} {one['advice']}"


def test_a_new_deployment_is_told_what_comes_next(house: Deployment) -> None:
    """In a ledger's first minutes nobody is told that beat does not run; later that is an error."""
    level, meaning = beat(house)
    assert level == "warning"
    assert "not planned yet (india since" in meaning
    assert "celery -A worker beat" in meaning
    pass_time(house.ledger, 3600, ledger_table.c.created_at)
    level, meaning = beat(house)
    assert level == "error"
    assert "no tick came" in meaning


@pytest.mark.parametrize(
    ("runs_for", "level", "meaning"),
    [(60, "ok", "its first tick comes within five minutes"), (900, "error", "no worker carries")],
)
def test_a_beat_that_runs_here_is_not_said_to_be_missing(
    house: Deployment, runs_for: int, level: str, meaning: str
) -> None:
    """After any start the first tick is waited for; once it is late, a worker is missing."""
    pass_time(house.ledger, 3600, ledger_table.c.created_at)
    now = time.monotonic()
    write(Mark("beat", BEAT, "working", at=now, began_at=now - runs_for), house.spool)
    found = beat(house)
    assert found[0] == level
    assert meaning in found[1]
    assert "india since" in found[1]


def test_a_killed_beat_does_not_count(house: Deployment) -> None:
    """A heartbeat file that nobody renews any more excuses nothing."""
    pass_time(house.ledger, 3600, ledger_table.c.created_at)
    now = time.monotonic()
    write(Mark("beat", BEAT, "working", at=now - 60, began_at=now - 90), house.spool)
    assert beat(house)[0] == "error"


def test_exports_by_hand_hide_no_dead_beat(house: Deployment) -> None:
    """The newest day was asked for by hand. Without any tick on record that is a warning; with a
    tick of before its night an error that names the day; with a tick of now, beat ticks.
    """
    pass_time(house.ledger, 3600, ledger_table.c.created_at)
    started = house.run("export", "--account", "india", *_days(YESTERDAY))
    assert started.returncode == 0, started.stderr
    assert house.ledger.days.newest("india") == YESTERDAY
    level, meaning = beat(house)
    assert level == "warning"
    assert "no tick is noted" in meaning
    assert f"india {YESTERDAY}" in meaning
    ticked(house, datetime.now(UTC) - timedelta(days=2))
    level, meaning = beat(house)
    assert level == "error"
    assert "india since" in meaning
    assert "no tick came" in meaning
    ticked(house, datetime.now(UTC))
    level, meaning = beat(house)
    assert level == "ok"
    assert "its last tick came at" in meaning


def _days(day: date) -> tuple[str, ...]:
    return ("--from", str(day), "--to", str(day))


def ticked(house: Deployment, at: datetime) -> None:
    """A worker carried out a tick then."""
    with Redis.from_url(house.valkey.url) as client:
        client.set(TICKED, at.timestamp())


class Nightlong(Account):
    """An account whose nights begin at midnight."""

    @property
    def nights(self) -> Nightly:
        """Every night."""
        return Nightly.model_validate({"at": "00:00", "timezone": ZONE})


def test_metrics_count_the_nights_since_the_last_tick() -> None:
    """Whatever days people asked for. Without a tick on record, the days alone count."""
    given: dict[str, Any] = {"provider": "x", "base_url": "http://127.0.0.1", "alias": "india"}
    account = Nightlong.model_validate(given)
    row = SimpleNamespace(account="india", days=9, newest=YESTERDAY)
    nothing: dict[str, Any] = {
        name: [] for name in Stats.__dataclass_fields__ if name != "quarantined"
    }
    stats = Stats(**{**nothing, "planned": [row]}, quarantined=False)

    def nights(ticked_at: datetime | None) -> float:
        cache = StatsCache(lambda: stats)
        gauges = LedgerGauges(cache, lambda: {"india": account}, lambda: ticked_at)
        families = {family.name: family for family in gauges.collect()}
        (sample,) = families["earwitness_nights_unplanned"].samples
        return float(sample.value)

    now = datetime.now(UTC)
    assert nights(None) == nights(now) == 0
    assert nights(now - timedelta(days=3)) == 3
