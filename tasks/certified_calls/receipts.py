"""Receipts of certified calls, made from the ledger's rows only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from archive import paths
from archive.documents import receipt as receipts
from archive.documents.receipt import ASKED, Receipt
from archive.errors import Contradiction
from archive.store.directory import Stored
from config.settings import settings
from ledger.core.job import Job, iso
from ledger.core.outbox import Obligation
from ledger.rebuild.snapshots import is_rebuilt
from providers import registry
from providers.interface import PlacesCertifiedCalls
from tasks.runtime.context import ledger, store
from tasks.runtime.obligations import under_chain
from tasks.runtime.outbox import Handler

#: How many further numbers are tried for a decision.
_MOST_TAKEN = 100


def write_receipts(_account: str, obligations: Sequence[Obligation]) -> None:
    """Write receipts, and add their chain entries to the outbox.

    Raises what `keep_receipt` raises.
    """
    for one in obligations:
        # Each time the receipt is written: the archive may be a new one.
        ledger().outbox.owe(one.job_id, one.account, *under_chain(keep_receipt(one)))


HANDLERS = {"receipt": Handler(write_receipts, needs_archive=True)}


def keep_receipt(obligation: Obligation) -> Stored:
    """Write a pending receipt into the archive. Raises ArchiveError, OSError, StoreAway."""
    job = ledger().jobs.job(obligation.job_id)
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
