"""``doctor`` on beat: late nights are an error only where a tick should have come."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from socket import gethostname

import pytest

from ledger.core.schema import ledger as ledger_table
from worker.health.heartbeat_files import Mark, write

from .deployment import Deployment, account_toml
from .ledgers import pass_time
from .recent_days import ZONE
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
