"""Families of gauges, as a scrape shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily

#: Values by their labels.
Values = Mapping[tuple[str, ...], float]


def gauge(name: str, says: str, labels: Iterable[str], values: Values) -> GaugeMetricFamily:
    """Return the family of one gauge, without the prefix of every name."""
    family = GaugeMetricFamily(f"earwitness_{name}", says, labels=list(labels))
    for where in sorted(values):
        family.add_metric(where, values[where])
    return family
