"""Receipts of certified calls, made from the ledger's rows only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from archive import paths
from archive.documents import receipt as receipts
from archive.documents.receipt import ASKED, Receipt
from archive.errors import Contradiction, StoreAway
from archive.store.directory import Stored
from config.settings import settings
from ledger.core.job import Job, iso
from ledger.core.outbox import Obligation
from ledger.errors import LedgerAway, NoSuchJob
from ledger.rebuild.snapshots import is_rebuilt
from providers import registry
from providers.interface import PlacesCertifiedCalls
from tasks.runtime.context import ledger, store
from tasks.runtime.obligations import under_chain
from tasks.runtime.outbox import Handler, Outcomes, always

#: How many further numbers are tried for a decision.
_MOST_TAKEN = 100
#: How many receipts of a batch are written at once.
_WRITERS = 8


def write_receipts(_account: str, obligations: Sequence[Obligation]) -> Outcomes:
    """Write receipts; their chain entries follow. Raises LedgerAway.

    A chain entry follows each time that a receipt is written: the archive may be a new one. A
    receipt that cannot be written holds up no other, unless the archive does not answer.
    """
    jobs = ledger().jobs.by_id([one.job_id for one in obligations])
    away: list[StoreAway] = []

    def write(one: Obligation) -> Stored | Exception:
        try:
            return away[0] if away else keep_receipt(one, jobs.get(one.job_id))
        except StoreAway as error:
            away.append(error)
            return away[0]
        except Exception as error:  # noqa: BLE001 - logged by the caller, or raised below
            return error

    outcomes = Outcomes()
    for number, written in _carried_out(write, obligations).items():
        if isinstance(written, LedgerAway):
            raise written
        if isinstance(written, Exception):
            outcomes.failures[number] = written
        else:
            outcomes.following[number] = under_chain(written)
    return outcomes


def _carried_out(
    write: Callable[[Obligation], Stored | Exception], obligations: Sequence[Obligation]
) -> dict[int, Stored | Exception]:
    """Write several at once: each waits for the disk or the bucket, which can take them together.

    Returns the results by the obligations' ids. The threads are daemons, so that a disk that hangs
    does not keep the process from ending.
    """
    done: dict[int, Stored | Exception] = {}
    left = iter(obligations)

    def run() -> None:
        for one in left:
            done[one.id] = write(one)

    threads = [
        threading.Thread(target=run, name="earwitness-receipts", daemon=True)
        for _ in range(min(_WRITERS, len(obligations)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


HANDLERS = {"receipt": Handler(write_receipts, together=always, needs_archive=True)}


def keep_receipt(obligation: Obligation, job: Job | None) -> Stored:
    """Write the pending receipt of a job into the archive.

    Raises ArchiveError, OSError, StoreAway; NoSuchJob without a job.
    """
    if job is None:
        raise NoSuchJob(f"not done: no job has the id {obligation.job_id}")
    known = obligation.payload
    # If the sending of the call was never noted, the month of the request counts.
    when = job.created_at if known["sent_at"] is None else known["sent_at"]
    month = datetime.fromtimestamp(when, UTC).date()
    receipt = _receipt(job, known)
    path = paths.receipt_path(job.account, month, job.job_id, known["number"])
    if known["sent_at"] is not None:
        return receipts.keep(store(), path, receipt)
    return _keep_decision(receipt, job, month, known["number"])


def _keep_decision(receipt: Receipt, job: Job, month: date, number: int) -> Stored:
    """Keep a decision about a call that this ledger did not send.

    An earlier ledger may have sent the call, and left receipts under the numbers that this one
    begins with: the decision follows the last.
    """
    last = number + _MOST_TAKEN
    for one in range(number, last):
        path = paths.receipt_path(job.account, month, job.job_id, one)
        try:
            return receipts.keep(store(), path, receipt)
        except Contradiction:
            continue
    path = paths.receipt_path(job.account, month, job.job_id, last)
    return receipts.keep(store(), path, receipt)


def _provider(alias: str) -> str:
    """Return the provider of a call.

    If its account is no longer configured, this is the provider that places certified calls.
    """
    account = settings().accounts.get(alias)
    if account is not None:
        return account.provider
    able = (name for name, one in registry.providers().items() if one.has(PlacesCertifiedCalls))
    return next(able)


def _receipt(job: Job, known: dict[str, Any]) -> Receipt:
    """Return the receipt of a call.

    The ledger notes the outcome under the names of the document, with times in seconds.
    """
    asked: dict[str, Any] = {name: job.parameters.get(name) for name in ASKED}
    outcome: dict[str, Any] = {name: value for name, value in known.items() if name != "number"}
    outcome |= {name: iso(known[name]) for name in ("sent_at", "answered_at")}
    return Receipt(
        job_id=job.job_id,
        request_id=None if is_rebuilt(job.request_id) else job.request_id,
        account=job.account,
        provider=_provider(job.account),
        **asked,
        requested_at=iso(job.created_at) or "",
        **outcome,
    )
