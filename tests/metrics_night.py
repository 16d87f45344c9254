"""A night of which metrics tell: what happens in it, and what a scrape shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import httpx
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families

from .certified_calls import ASKED
from .deployment import Deployment, account_toml
from .ledgers import request
from .servers import free_port
from .simulators import Simulators
from .waiting import eventually

ZONE = "Asia/Kolkata"
DAY = date(2026, 11, 10)
BEGAN = datetime(2026, 11, 9, 18, 30, tzinfo=UTC).timestamp()
ZIP_BYTES = 3_000_000
#: A scraper's patience is ten seconds by default.
PATIENCE_SECONDS = 8.0

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Shown:
    """The text of a scrape, and its samples."""

    text: str

    def samples(self) -> Samples:
        """Every sample, as Prometheus' own parser reads it."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.samples()}

    def value(self, name: str, **labels: str) -> float | None:
        """One sample's value, or None where there is none."""
        return self.samples().get((f"earwitness_{name}", frozenset(labels.items())))

    def of(self, name: str) -> list[dict[str, str]]:
        """The labels of a metric's samples."""
        return [dict(labels) for known, labels in self.samples() if known == f"earwitness_{name}"]


class Night:
    """A night with a day that stays incomplete, a call that needs a decision, a transfer under way,
    a job whose worker died, and a verification that finds a file changed.
    """

    def __init__(self, make: Callable[..., Deployment], simulators: Simulators, url: str) -> None:
        self.simulators = simulators
        self.india = simulators.vonage.account(username="india@vbc.prod")
        self.slow = simulators.vonage.account(username="slow@vbc.prod")
        self.platform = simulators.gsmblockchain.account()
        self.zip_bytes = 0
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        nightly = {"timezone": ZONE, "catchup_days": 1}
        sections = [
            account_toml("india", self.india.configuration(), nightly),
            account_toml("slow", self.slow.configuration(), nightly),
            account_toml("legal", {**self.platform.configuration(), "timeout_seconds": 3}),
        ]
        settings = {"METRICS_BIND": f"127.0.0.1:{port}"}
        self.house = make("\n".join(sections), ledger_url=url, settings=settings)

    def scrape(self) -> Shown:
        """What a scraper gets."""
        answer = httpx.get(self.url + "/metrics", trust_env=False, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 200
        return Shown(answer.text)

    def until(self, name: str, value: float, **labels: str) -> Shown:
        """Scrape until a sample has this value."""
        seen: list[Shown] = []

        def look() -> bool:
            seen[:] = [self.scrape()]
            return seen[0].value(name, **labels) == value

        eventually(look, what=f"{name} {labels} did not become {value}")
        return seen[0]

    def happens(self, app: Celery) -> None:
        """Everything but the transfer, which continues."""
        self.house.ledger.identity.note_backup(by="cron", why="to a folder")
        self.india.seed(DAY, ZONE, 3)
        self.india.withhold(self.india.recordings()[0]["id"], "everywhere")
        self.slow.seed(DAY, ZONE, 2, size_bytes=ZIP_BYTES // 2)
        self.slow.configure(ready_after_polls=0, bytes_per_second=ZIP_BYTES // 600)
        self.platform.fault("call", "reset")
        self.house.send(app, "export.run", account="slow", day=DAY.isoformat())
        self._a_worker_dies()
        day = self.house.send(app, "export.run", account="india", day=DAY.isoformat())
        call = self.house.send(app, "certified_call.request", **ASKED, request_id="contract-4711")
        for asked in (day, call):
            asked.get(timeout=60, propagate=False)
        self._nothing_is_owed()
        (kept,) = self.house.archive.glob("india/exports/*/*/*/*/*.zip")
        self.zip_bytes = kept.stat().st_size
        kept.write_bytes(kept.read_bytes() + b"more")
        verified = self.house.send(app, "archive.verify", account="india", request_id="weekly")
        verified.get(timeout=60, propagate=False)
        self._nothing_is_owed()

    def _nothing_is_owed(self) -> None:
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="something is owed")

    def _a_worker_dies(self) -> None:
        """The test takes up a job as a worker would, and is not heard of again."""
        asked = request(
            "abandoned-1", kind="export.create", account="slow", parameters={"filters": {}}
        )
        job, lease = self.house.ledger.execution.begin(asked, by="test")
        assert lease is not None
        self.house.ledger.leases.drop(lease)

        def goes_on() -> bool:
            return self.house.ledger.jobs.job(job.job_id).ended

        eventually(goes_on, what="nobody took the job over")

    def private(self) -> set[str]:
        """What no metric may tell: credentials, tokens, numbers, and every id there is."""
        accounts = (self.india, self.slow)
        secrets = {one.password for one in (*accounts, self.platform)}
        secrets |= {one.client_secret for one in accounts}
        secrets |= set(self.simulators.vonage.secrets())
        jobs = self.house.ledger.jobs.jobs(limit=1000)
        ids = {name for job in jobs for name in (job.job_id, job.request_id, job.task_id)}
        recordings = {str(one["id"]) for account in accounts for one in account.recordings()}
        exports = {name for export in self.simulators.log.exports() for name in export["job_ids"]}
        paths = set(self.house.store.paths())
        told = {ASKED["phone"], "34660111222", "912080202", ASKED["company_id"], "MyCompany"}
        return {str(one) for one in (secrets | ids | recordings | exports | paths | told)}
