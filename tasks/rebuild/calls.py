"""Certified calls, rebuilt from their receipts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from archive.documents import receipt as receipts
from archive.documents.instants import instant
from archive.documents.receipt import ASKED, Receipt
from archive.errors import ArchiveError
from config.error_names import ErrorName
from config.queues import DUE
from config.settings import settings
from ledger.call_outcomes import KIND, PLACED, REFUSED, RESOLVED, UNKNOWN, UNSENT
from ledger.core import states
from ledger.core.job import job_id
from ledger.rebuild.snapshots import KnownCall, KnownJob, rebuilt_request_id
from tasks.runtime.context import store

from .verified_archive import VerifiedArchive

_LOOK = "check the provider's panel, then run: earwitness resolve"


def receipt_paths(prefix: str, trusted: VerifiedArchive) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield each call's job id, with the paths of its receipts by number."""
    for stem, paths in groupby(trusted.paths(prefix, "receipt"), key=_stem):
        yield stem.rpartition("/")[2], {number(path): path for path in paths}


def number(path: str) -> int:
    """Return the number of a receipt, which its name holds from the second receipt on."""
    suffix = path.rpartition("/")[2].split(".")[1]
    return int(suffix) if suffix.isdecimal() else 1


def calls(alias: str, trusted: VerifiedArchive) -> Iterator[KnownJob]:
    """Yield every call of an account that has a receipt, in any state."""
    for known, paths in receipt_paths(f"{alias}/certified-calls/", trusted):
        yield _call(alias, known, paths, trusted)


def _stem(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _call(alias: str, known: str, paths: dict[int, str], trusted: VerifiedArchive) -> KnownJob:
    newest = max(paths)
    for one in sorted(paths, reverse=True):
        receipt = _read(alias, known, paths[one], trusted)
        if receipt is not None:
            # If a later receipt cannot be trusted, its outcome is unknown.
            outcome = receipt.outcome if one == newest else UNKNOWN
            return _from(receipt, outcome, newest, paths[one])
    return _lost(alias, known, paths)


def _read(alias: str, known: str, path: str, trusted: VerifiedArchive) -> Receipt | None:
    if not trusted.trusts(path):
        return None
    try:
        receipt = receipts.read(store(), path)
    except ArchiveError:
        trusted.refuse(path, "is not readable as a receipt")
        return None
    named = known
    if receipt.request_id is not None:
        named = job_id(alias, f"earwitness.{KIND}", receipt.request_id)
    if (receipt.account, receipt.job_id, known) != (alias, named, named):
        trusted.refuse(path, "describes another call than its name says")
        return None
    return receipt


def _from(receipt: Receipt, outcome: str, receipts: int, path: str) -> KnownJob:
    sent, answered = _moment(receipt.sent_at), _moment(receipt.answered_at)
    asked = instant(receipt.requested_at)
    changed = answered or sent or _moment(receipt.decided_at) or asked
    parameters = {name: getattr(receipt, name) for name in ASKED}
    is_asked = receipt.request_id is not None
    return KnownJob(
        job_id=receipt.job_id,
        kind=KIND,
        account=receipt.account,
        request_id=receipt.request_id or rebuilt_request_id(receipt.job_id),
        parameters=parameters if is_asked else {},
        queue=DUE,
        created_at=asked.timestamp(),
        updated_at=changed.timestamp(),
        source=path,
        call=KnownCall(
            sent_at=None if sent is None else sent.timestamp(),
            answered_at=None if answered is None else answered.timestamp(),
            outcome=outcome,
            http_status=receipt.http_status,
            answer=receipt.raw_answer,
            platform_phone=receipt.platform_phone,
            error_message=receipt.error_message,
            receipts=receipts,
            reserved_on=None if sent is None else _day(receipt.account, sent),
        ),
        **_end(receipt, outcome),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def _end(receipt: Receipt, outcome: str) -> dict[str, Any]:
    """Return how the job of a call ended."""
    if outcome == PLACED:
        return _done(receipt.platform_phone)
    if outcome == RESOLVED:
        words = f"decided by {receipt.by}: the call was {receipt.decided}; {receipt.note}"
        if receipt.decided == "placed":
            return {**_done(None), "reason": words}
        return _failed(
            ErrorName.REJECTED, f"not done: {words}; to place the call, use a new request id"
        )
    if outcome == REFUSED:
        return _failed(
            ErrorName.REJECTED,
            "not done: the certified call was refused and not placed; see its receipt for "
            "the platform's answer",
        )
    if outcome == UNSENT:
        again = "nothing was sent; to place the call, use a new request id"
        return _failed(ErrorName.UNREACHABLE, f"not done: {again}")
    return _undecided(f"unknown: its receipt does not show whether the call was placed; {_LOOK}")


def _done(platform_phone: str | None) -> dict[str, Any]:
    result = {"state": states.DONE, "platform_phone": platform_phone}
    return {"state": states.DONE, "result": result}


def _failed(name: ErrorName, message: str) -> dict[str, Any]:
    return {
        "state": states.FAILED,
        "reason": message,
        "error": name.stored(message),
    }


def _undecided(message: str) -> dict[str, Any]:
    error = ErrorName.UNCERTAIN.stored(message)
    return {"state": states.NEEDS_DECISION, "reason": message, "error": error}


def _lost(alias: str, known: str, paths: dict[int, str]) -> KnownJob:
    """Return a call none of whose receipts can be trusted.

    The job id is in their names, and keeps the request from being sent again.
    """
    path = paths[min(paths)]
    year, month = path.split("/")[2:4]
    when = datetime(int(year), max(1, min(12, int(month))), 1, tzinfo=UTC).timestamp()
    return KnownJob(
        job_id=known,
        kind=KIND,
        account=alias,
        request_id=rebuilt_request_id(known),
        parameters={},
        queue=DUE,
        created_at=when,
        updated_at=when,
        source=path,
        call=KnownCall(None, None, UNKNOWN, None, b"", None, None, max(paths), None),
        **_undecided(f"unknown: its receipt {path} is damaged; compare it with a copy, or {_LOOK}"),
    )


def _day(alias: str, sent: datetime) -> date:
    """Return the day whose cap a call counts towards."""
    account = settings().accounts.get(alias)
    return sent.astimezone(ZoneInfo("UTC" if account is None else account.zone)).date()
