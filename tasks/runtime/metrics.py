"""Prometheus metrics of this process' own work, as docs/metrics.md explains them.

Labels are words of ours and aliases of accounts only: never a number, an id or a path.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from archive import paths
from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from config.settings import settings
from ledger.alerts import EVERY_ACCOUNT
from ledger.core.job import Job
from providers.http.instrumentation import Observed

# The creation time of each counter would double the number of series, and nothing reads it.
disable_created_metrics()

REGISTRY = CollectorRegistry()

ARCHIVE, DAMAGED, DANGEROUS, CONTRADICTION = "archive", "damaged", "dangerous", "contradiction"

#: The queues that workers read, and the label of any other queue.
QUEUES = (FRONT_DOOR, DUE, DOWNLOADS)
OTHER = "other"

#: Seconds: a login takes tenths, a list takes seconds, and `timeout_seconds` is 30 by default.
_LATENCIES = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

jobs_ended = Counter(
    "earwitness_jobs_ended",
    "Jobs that this worker ended, or left to a person's decision.",
    ["account", "kind", "state"],
    registry=REGISTRY,
)
results_stored = Counter(
    "earwitness_results_told",
    "Outcomes of jobs that this worker handed to Celery for their callers.",
    ["kind", "state"],
    registry=REGISTRY,
)
obligations_tried = Counter(
    "earwitness_obligations_tried",
    "Attempts at pending obligations: receipts, chain entries, notifications, alerts.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
takeovers = Counter(
    "earwitness_lease_takeovers",
    "Jobs that this worker took from a worker that had stopped responding.",
    ["account"],
    registry=REGISTRY,
)
archived_bytes = Counter(
    "earwitness_archived_bytes",
    "Bytes of ZIPs and recordings that this worker put into the archive.",
    ["account"],
    registry=REGISTRY,
)
transferred_bytes = Counter(
    "earwitness_transferred_bytes",
    "Bytes of ZIPs and recordings that came from providers.",
    ["account"],
    registry=REGISTRY,
)
transfers = Gauge(
    "earwitness_transfers_in_progress",
    "ZIPs and recordings that this worker is receiving now.",
    ["account"],
    registry=REGISTRY,
)
set_aside = Counter(
    "earwitness_messages_set_aside",
    "Messages that this worker could not understand and set aside.",
    ["queue"],
    registry=REGISTRY,
)
flushes_failed = Counter(
    "earwitness_flushes_failed",
    "Batched writes (acknowledgements, events, starts, answers) that failed and were tried again.",
    ["what"],
    registry=REGISTRY,
)
unknown_tasks = Counter(
    "earwitness_unknown_tasks",
    "Messages for tasks that this worker does not know.",
    registry=REGISTRY,
)
verification_failures = Counter(
    "earwitness_verification_failures",
    "Problems that a verification of the archive found (archive), and files from providers that "
    "were refused (damaged, dangerous) or differ from the archived file of their name "
    "(contradiction).",
    ["account", "kind"],
    registry=REGISTRY,
)
provider_requests = Counter(
    "earwitness_provider_requests",
    "Requests to providers by outcome.",
    ["account", "provider", "operation", "outcome"],
    registry=REGISTRY,
)
provider_seconds = Histogram(
    "earwitness_provider_request_duration_seconds",
    "Duration of requests to providers: to the end of the answer, for files to its headers.",
    ["account", "provider", "operation"],
    buckets=_LATENCIES,
    registry=REGISTRY,
)


def begin(accounts: Iterable[str]) -> None:
    """Show the series that alert rules read as 0 from the start.

    A series that begins at 1 has not risen.
    """
    for queue in (*QUEUES, OTHER):
        set_aside.labels(queue)
    for account in (*accounts, EVERY_ACCOUNT):
        takeovers.labels(account)
        for kind in (ARCHIVE, DAMAGED, DANGEROUS, CONTRADICTION):
            verification_failures.labels(account, kind)
    for account in accounts:
        for counter in (archived_bytes, transferred_bytes):
            counter.labels(account)
        transfers.labels(account)


def ended(job: Job) -> None:
    """Count a job that has ended or needs a decision."""
    jobs_ended.labels(job.account, job.kind, job.state).inc()


def requested(seen: Observed) -> None:
    """Count a finished request to a provider, and observe its duration."""
    where = (seen.account, seen.provider, seen.operation)
    provider_requests.labels(*where, seen.outcome).inc()
    provider_seconds.labels(*where).observe(seen.seconds)


def found_wrong(problems: Iterable[str]) -> None:
    """Count the problems that a verification found; each begins with its path in the archive."""
    for problem in problems:
        account = paths.account_of(problem)
        known = account if account in settings().accounts else EVERY_ACCOUNT
        verification_failures.labels(known, ARCHIVE).inc()
