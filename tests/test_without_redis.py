"""A worker that cannot reach Redis: it is seen by Prometheus, and people are alerted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from ledger.alerts import Alert

from .alert_receiver import AlertReceiver
from .deployment import Deployment, account_toml
from .metrics_night import PATIENCE_SECONDS, Shown
from .servers import Valkey, free_port
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    """Somebody on call."""
    with AlertReceiver() as running:
        yield running


class Watched:
    """A deployment whose worker is scraped and whose alerts are received."""

    def __init__(self, deploy: Deploy, simulators: Simulators, receiver: AlertReceiver) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.house = deploy(
            account_toml("india", simulators.vonage.account().configuration()),
            settings={
                "METRICS_BIND": self.address,
                "ALERT_URL": receiver.url,
                "ALERT_SECRET": "signed-with-this",
            },
        )

    def scrape(self) -> Shown | None:
        """What a scraper gets; None while nobody serves."""
        try:
            answer = httpx.get(
                f"http://{self.address}/metrics", trust_env=False, timeout=PATIENCE_SECONDS
            )
        except httpx.ConnectError:
            return None
        return Shown(answer.text)

    def until(self, name: str, value: float, **labels: str) -> Shown:
        """Scrape until a sample has this value."""

        def look() -> Shown | None:
            shown = self.scrape()
            return shown if shown and shown.value(name, **labels) == value else None

        return eventually(look, what=f"{name} {labels} did not become {value}")

    def until_disks_are_read(self) -> Shown:
        """Scrape until the free bytes of the disks are there."""

        def look() -> Shown | None:
            shown = self.scrape()
            return shown if shown and shown.value("spool_free_bytes") is not None else None

        return eventually(look, what="the disks were not read")


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_worker_that_starts_without_redis(
    deploy: Deploy, simulators: Simulators, valkey: Valkey, receiver: AlertReceiver, how: str
) -> None:
    """It serves its metrics, which say so, and sends the webhook of an alert; once Redis is there
    it works, without a restart.
    """
    watched = Watched(deploy, simulators, receiver)
    if how == "stopped":
        valkey.stop()
    else:
        valkey.freeze()
    process = watched.house.worker(ready=False)
    shown = watched.until("redis_up", 0, use="broker")
    assert shown.value("redis_up", use="results") == 0
    assert shown.value("queue_messages", queue="earwitness") is None
    assert shown.value("build_info", version="0.1.0") == 1
    # A scrape lacks what a worker that is busy with its start has not read within two seconds.
    watched.until("ledger_up", 1)
    watched.until("archive_up", 1)
    shown = watched.until_disks_are_read()
    assert (shown.value("spool_free_bytes") or 0) > 0
    assert (shown.value("archive_free_bytes") or 0) > 0
    watched.until("worker_slots_in_use", 0)
    watched.house.ledger.alerts.open(Alert("day:india:2026-11-10", "day", "india", "missing"))
    # After a minute without Redis, the alert about Redis itself may be there as well.
    eventually(
        lambda: "day:india:2026-11-10" in [one["cause"] for one in receiver.taken()],
        what="nobody was told",
    )
    if how == "stopped":
        valkey.start()
    else:
        valkey.thaw()
    shown = watched.until("redis_up", 1, use="broker")
    assert shown.value("redis_up", use="results") == 1
    eventually(lambda: " ready." in process.log(), what="it does not work")
    watched.until("queue_messages", 0, queue="earwitness")
    assert process.stop() == 0
