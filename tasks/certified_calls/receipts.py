"""The receipt of a certified call: a function of the ledger's rows alone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from archive import paths
from archive.documents import receipt as receipt_documents
from archive.errors import Contradiction
from archive.store.directory import Stored
from config.settings import settings
from ledger.core.job import Job, iso
from ledger.core.outbox import Obligation
from ledger.rebuild.snapshots import is_rebuilt
from providers import registry
from providers.interface import PlacesCertifiedCalls
from tasks.runtime.context import ledger, store

#: So many further numbers are tried for a decision.
_MOST_TAKEN = 100


def keep_receipt(owed: Obligation) -> Stored:
    """Write the receipt that is owed. Raises ArchiveError, OSError, StoreAway."""
    job = ledger().jobs.job(owed.job_id)
    known = owed.payload
    # Of a call whose sending nobody noted, the month in which it was asked for.
    when = job.created_at if known["sent_at"] is None else known["sent_at"]
    month = datetime.fromtimestamp(when, UTC).date()
    receipt = _receipt(job, known)
    path = paths.receipt_path(job.account, month, job.job_id, known["number"])
    if known["sent_at"] is not None:
        return receipt_documents.keep(store(), path, receipt)
    return _keep_decision(receipt, job, month, known["number"])


def _keep_decision(receipt: dict[str, Any], job: Job, month: date, number: int) -> Stored:
    """Keep a decision about a call that this ledger did not send. An earlier ledger may have, and
    left receipts under the numbers that this one begins with: the decision follows the last.
    """
    last = number + _MOST_TAKEN
    for one in range(number, last):
        path = paths.receipt_path(job.account, month, job.job_id, one)
        try:
            return receipt_documents.keep(store(), path, receipt)
        except Contradiction:
            continue
    path = paths.receipt_path(job.account, month, job.job_id, last)
    return receipt_documents.keep(store(), path, receipt)


def _provider(alias: str) -> str:
    """The provider of a call; where its account is no longer configured, the one that places
    certified calls.
    """
    account = settings().accounts.get(alias)
    if account is not None:
        return account.provider
    able = (name for name, one in registry.providers().items() if one.has(PlacesCertifiedCalls))
    return next(able)


def _receipt(job: Job, known: dict[str, Any]) -> dict[str, Any]:
    names = ("country", "phone", "max_seconds", "company_name", "company_id")
    later = ("platform_phone", "error_message", "http_status", "answer")
    decision = ("decided", "by", "note", "decided_at")
    return {
        "schema": 1,
        "job_id": job.job_id,
        "request_id": None if is_rebuilt(job.request_id) else job.request_id,
        "account": job.account,
        "provider": _provider(job.account),
        **{name: job.parameters.get(name) for name in names},
        "requested_at": iso(job.created_at),
        "sent_at": iso(known["sent_at"]),
        "answered_at": iso(known["answered_at"]),
        "outcome": known["outcome"],
        **{name: known[name] for name in later},
        **{name: known[name] for name in decision if name in known},
        "version": known["version"],
    }
