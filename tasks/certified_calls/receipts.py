"""Receipts of certified calls, made from the ledger's rows only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from archive import paths
from archive.documents import receipt as receipts
from archive.documents.receipt import ASKED, Receipt
from archive.errors import Contradiction, StoreAway
from archive.store.protocol import MOST_TOGETHER, Stored
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


def write_receipts(_account: str, obligations: Sequence[Obligation]) -> Outcomes:
    """Write receipts; their chain entries follow. Raises LedgerAway.

    A chain entry follows each time that a receipt is written: the archive may be a new one. A
    receipt that cannot be written holds up no other, unless the archive does not answer.
    """
    jobs = ledger().jobs.by_id([one.job_id for one in obligations])
    written: dict[int, Stored | Exception] = {}
    away: StoreAway | None = None
    for first in range(0, len(obligations), MOST_TOGETHER):
        try:
            written |= _written(obligations[first : first + MOST_TOGETHER], jobs)
        except StoreAway as error:
            away = error
        away = next((one for one in written.values() if isinstance(one, StoreAway)), away)
        if away is not None:
            written = {one.id: away for one in obligations} | written
            break
    outcomes = Outcomes()
    for number, outcome in written.items():
        if isinstance(outcome, LedgerAway):
            raise outcome
        if isinstance(outcome, Exception):
            outcomes.failures[number] = outcome
        else:
            outcomes.following[number] = under_chain(outcome)
    return outcomes


def _written(
    obligations: Sequence[Obligation], jobs: Mapping[str, Job]
) -> dict[int, Stored | Exception]:
    """Write receipts into the archive; return what became of each, by the obligations' ids.

    Raises StoreAway if the archive does not answer, and nothing more can be written.
    """
    written: dict[int, Stored | Exception] = {}
    numbers: list[int] = []
    together: list[tuple[str, Receipt]] = []
    for one in obligations:
        try:
            known = one.payload
            receipt, path = _receipt_of(known, jobs.get(one.job_id), one.job_id)
            if known["sent_at"] is None:
                written[one.id] = _keep_decision(receipt, path, known["number"])
            else:
                together.append((path(known["number"]), receipt))
                numbers.append(one.id)
        except StoreAway:
            raise
        except Exception as error:  # noqa: BLE001 - logged by the caller, or raised there
            written[one.id] = error
    kept = receipts.keep_all(store(), together)
    return written | dict(zip(numbers, kept, strict=True))


HANDLERS = {"receipt": Handler(write_receipts, together=always, needs_archive=True)}


def _receipt_of(
    known: dict[str, Any], job: Job | None, job_id: str
) -> tuple[Receipt, Callable[[int], str]]:
    """Return the receipt that an obligation describes, and what gives its path by its number.
    Raises NoSuchJob without a job.
    """
    if job is None:
        raise NoSuchJob(f"not done: no job has the id {job_id}")
    # If the sending of the call was never noted, the month of the request counts.
    when = job.created_at if known["sent_at"] is None else known["sent_at"]
    month = datetime.fromtimestamp(when, UTC).date()
    return _receipt(job, known), partial(paths.receipt_path, job.account, month, job.job_id)


def _keep_decision(receipt: Receipt, path: Callable[[int], str], number: int) -> Stored:
    """Keep a decision about a call that this ledger did not send.

    An earlier ledger may have sent the call, and left receipts under the numbers that this one
    begins with: the decision follows the last.
    """
    last = number + _MOST_TAKEN
    for one in range(number, last):
        try:
            return receipts.keep(store(), path(one), receipt)
        except Contradiction:
            continue
    return receipts.keep(store(), path(last), receipt)


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
