"""Counters of alert rules: Prometheus sees the rise of what came before its first look."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Counter, generate_latest

from worker.metrics.from_zero import RULED, FromZero

from .alert_rules import RULES


def scrape(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample's value by its name and labels."""
    lines = generate_latest(registry).decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_the_first_scrape_shows_zero_and_later_ones_the_truth() -> None:
    """What was counted before the first scrape is a rise after it; other counters stay."""
    own, served = CollectorRegistry(), CollectorRegistry()
    taken = Counter("earwitness_lease_takeovers", "...", ["account"], registry=own)
    other = Counter("earwitness_archived_bytes", "...", ["account"], registry=own)
    taken.labels("india").inc(3)
    other.labels("india").inc(7)
    served.register(FromZero(own))

    first, second = scrape(served), scrape(served)

    assert first['earwitness_lease_takeovers_total{account="india"}'] == 0
    assert second['earwitness_lease_takeovers_total{account="india"}'] == 3
    for seen in (first, second):
        assert seen['earwitness_archived_bytes_total{account="india"}'] == 7


def test_every_counter_in_a_rule_begins_at_zero() -> None:
    """A rule on the rise of another counter would need the same."""
    risen = re.findall(r"increase\((earwitness_\w+)_total", RULES.read_text())
    assert set(risen) == set(RULED)
