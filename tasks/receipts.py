"""The receipt of a certified call: a function of the ledger's rows alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from archive import layout, receipts
from archive.store import Stored
from ledger.job import Job, iso
from ledger.obligations import Obligation

from .resources import ledger, store


def keep_receipt(owed: Obligation) -> Stored:
    """Write the receipt that is owed. Raises ArchiveError, OSError, StoreAway."""
    job = ledger().jobs.job(owed.job_id)
    known = owed.payload
    month = datetime.fromtimestamp(known["sent_at"], UTC).date()
    path = layout.receipt_path(job.account, month, job.job_id, known["number"])
    return receipts.keep(store(), path, _receipt(job, known))


def _receipt(job: Job, known: dict[str, Any]) -> dict[str, Any]:
    names = ("country", "phone", "max_seconds", "company_name", "company_id")
    later = ("platform_phone", "error_message", "http_status", "answer")
    decision = ("decided", "by", "note")
    return {
        "schema": 1,
        "job_id": job.job_id,
        "request_id": job.request_id,
        "account": job.account,
        "provider": "gsmblockchain",
        **{name: job.parameters[name] for name in names},
        "requested_at": iso(job.created_at),
        "sent_at": iso(known["sent_at"]),
        "answered_at": iso(known["answered_at"]),
        "outcome": known["outcome"],
        **{name: known[name] for name in later},
        **{name: known[name] for name in decision if name in known},
        "version": known["version"],
    }
