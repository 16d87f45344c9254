"""Counters that every scraper sees from 0 on."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

#: The counters whose rise an alert rule looks at.
RULED = ("earwitness_lease_takeovers", "earwitness_verification_failures")


class FromZero(Collector):
    """The counters of a process. The first scrape shows those that alert rules look at as 0.

    Prometheus sees a rise only between two scrapes. Without this, what a worker counts between its
    start and its first scrape would raise no alert: a worker that was started again after a death
    takes the dead one's jobs over within seconds.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._is_first = True

    def collect(self) -> Iterable[Metric]:
        """Yield the families of the registry."""
        is_first, self._is_first = self._is_first, False
        for family in self._registry.collect():
            if is_first and family.name in RULED:
                family.samples = [sample._replace(value=0.0) for sample in family.samples]
            yield family
