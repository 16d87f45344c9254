"""The questions that commands, sweepers, nights and metrics ask a ledger."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from ledger.core import states
from ledger.core.opening import Request
from ledger.ledger import Ledger

from . import filled


@dataclass(frozen=True)
class Question:
    """One question by its name. ``grows`` says whether its cost may grow as the ledger does, in
    proportion; all others cost the same in any ledger.
    """

    name: str
    ask: Callable[[], object]
    grows: bool = False


def questions(ledger: Ledger, many: int) -> Iterator[Question]:
    """Yield every question to a ledger that `filled.fill` filled with so many jobs of each sort."""
    yield from _of_commands(ledger, many)
    yield from _of_sweepers(ledger)
    yield from _of_the_archive(ledger)


def _of_commands(ledger: Ledger, many: int) -> Iterator[Question]:
    jobs, some, account = ledger.jobs, many // 2 + 57, filled.account(7)
    yield Question("status: the jobs that changed last", jobs.jobs)
    yield Question("status --account", lambda: jobs.jobs(account=account), grows=True)
    yield Question("status --state failed", lambda: jobs.jobs(state=states.FAILED))
    yield Question("status --state done", lambda: jobs.jobs(state=states.DONE), grows=True)
    yield Question("status --kind export.create", lambda: _of_kind(ledger))
    yield Question("status: jobs by state", jobs.counts, grows=True)
    yield Question("status: decisions", jobs.undecided)
    yield Question("status: what is pending", ledger.outbox.waiting)
    yield Question("status: notifications given up", ledger.notifications.given_up)
    yield Question("status: damaged days", ledger.archive_record.damaged)
    yield Question("alerts", ledger.alerts.all_open)
    yield Question("show by job id", lambda: jobs.job(filled.job_id(some)))
    yield Question("show by request id", lambda: jobs.named(filled.request_id(some)))
    yield Question("show: history", lambda: jobs.history(filled.job_id(some)))
    yield Question("coverage of an account", lambda: ledger.days.of(account), grows=True)
    yield Question("metrics", lambda: ledger.stats(patience_seconds=60), grows=True)


def _of_kind(ledger: Ledger) -> list[Any]:
    return ledger.jobs.jobs(kind="export.create")


def _of_sweepers(ledger: Ledger) -> Iterator[Question]:
    yield Question("sweep: nothing is due", lambda: _sweep(ledger))
    yield Question("sweep: times in the future", ledger.future_times.found, grows=True)
    yield Question("a lease renewed during a transfer", lambda: _renew(ledger))
    yield Question("plan of an account's night", lambda: _plan(ledger))


def _sweep(ledger: Ledger) -> None:
    ledger.lease_expiry.take_from_the_dead()
    ledger.outbox.due(limit=200)
    ledger.outbox.due(limit=1, webhooks=True)
    for queue in (FRONT_DOOR, DUE, DOWNLOADS):
        ledger.wakeups.due(queue, room=256, queue_is_empty=True)
    ledger.waiters.due(queue=DUE, limit=64)


def _renew(ledger: Ledger) -> None:
    name = f"renewed-{uuid.uuid4()}"
    request = Request("recording.download", filled.account(7), name, {"name": name}, DOWNLOADS)
    job, _ = ledger.opening.open(request, by="bench")
    claimed = ledger.execution.claim(job.job_id)
    assert claimed is not None
    lease = claimed[1]
    lease.transfer = {"bytes": 1, "total": 2}
    ledger.leases.renew()
    ledger.leases.drop(lease)
    ledger.operator_actions.cancel(job.job_id, by="bench")


def _plan(ledger: Ledger) -> None:
    def none(_: object) -> Request:
        raise AssertionError("a day of long ago was opened again")

    night = date(2100, 1, 1)
    account = filled.account(7)
    ledger.days.plan(account, [], night=night, catchup_days=3, request_for=none, by="bench")


def _of_the_archive(ledger: Ledger) -> Iterator[Question]:
    record, account = ledger.archive_record, filled.account(7)
    yield Question("files of an account", lambda: _passed(record.stored(account)), grows=True)
    yield Question("receipts of an account", lambda: _passed(record.receipts(account)), grows=True)
    lost = [filled.job_id(100 * number + 5) for number in range(1, 20)]
    yield Question("retries of lost files", lambda: record.superseded(lost), grows=True)
    yield Question("the last file under a chain", lambda: record.chained(account), grows=True)
    yield Question("head of a chain", lambda: record.head(account))


def _passed(found: Iterator[object]) -> None:
    deque(found, maxlen=0)
