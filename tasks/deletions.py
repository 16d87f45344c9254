"""Deleting at the provider: only what is archived, verified and chained, and after its time."""

from __future__ import annotations

from datetime import date, datetime

from archive import chain, manifest, search
from archive.errors import ArchiveError
from config.accounts import VonageAccount
from config.queues import DUE
from ledger.requests import Request
from providers.vonage import Vonage

from . import errors, windows
from .attempt import Attempt
from .message import publish_first
from .resources import ledger, store, vonage_account
from .singles import kept_single

_DAY_SECONDS = 86_400


def plan_deletions(account: VonageAccount, now: datetime) -> int:
    """Open a deletion for every recording of the days whose time has come; how many."""
    nightly = account.nightly
    if nightly is None or nightly.delete_after_days == 0:
        return 0
    before = now.timestamp() - nightly.delete_after_days * _DAY_SECONDS
    count = 0
    for day in ledger().days.to_delete(account.alias, before):
        known = manifest.latest(store(), account.alias, day.day)
        if known is None or not known["complete"] or not _chained(account.alias, known["path"]):
            continue
        for line in manifest.lines(store(), known):
            job, number = ledger().requests.open(
                deletion(account.alias, line["id"], day.day), by="nightly plan"
            )
            count += number is not None
            if number is not None:
                publish_first(job, number)
        ledger().days.deleted(account.alias, day.day)
    return count


def deletion(alias: str, recording_id: str, day: date) -> Request:
    """The request to delete one recording of an archived day."""
    return Request(
        kind="recording.delete",
        account=alias,
        request_id=f"day:{day.isoformat()}/{recording_id}",
        parameters={"recording_id": recording_id, "day": day.isoformat()},
        queue=DUE,
    )


def refuse_unproven(attempt: Attempt, vonage: Vonage, recording_id: str) -> str:
    """The path of the manifest or metadata under whose sum the archive holds this recording whole,
    its bytes read back just now. Raises Rejected where that can not be shown.
    """
    account = vonage_account(attempt.job.account)
    day = _day(attempt, vonage, recording_id)
    try:
        proof = _held(attempt, recording_id, day)
    except (ArchiveError, KeyError) as error:
        raise errors.Rejected(
            f"not done: recording {recording_id} is not whole in the archive ({error})"
        ) from None
    if proof is None or not _chained(account.alias, proof):
        raise errors.Rejected(
            f"not done: recording {recording_id} is not archived, verified and chained; archive it "
            "first, or give a reason with unarchived = true"
        )
    return proof


def _day(attempt: Attempt, vonage: Vonage, recording_id: str) -> date:
    """The local day of the recording's start, as the request or the provider tells it."""
    told = attempt.job.parameters.get("day") or attempt.job.work.get("day")
    if told is None:
        start = datetime.fromisoformat(vonage.recording(recording_id)["start"])
        told = windows.local_day(start, windows.zone(vonage_account(attempt.job.account)))
        told = told.isoformat()
        # Before the request leaves: where its answer is lost, the provider does not tell it again.
        attempt.note(day=told)
    return date.fromisoformat(told)


def _held(attempt: Attempt, recording_id: str, day: date) -> str | None:
    """The manifest or metadata that holds the recording, once its bytes agree with it. Raises
    Missing, Damaged.
    """
    known = manifest.latest(store(), attempt.job.account, day)
    while known is not None:
        for line in manifest.lines(store(), known):
            if line["id"] == recording_id and not line.get("missing"):
                for _ in search.audio(store(), line):
                    attempt.check()
                return str(known["path"])
        # A later look did not list it any more: what an earlier one archived is there all the same.
        known = manifest.latest(store(), attempt.job.account, day, before=known["generation"])
    single = kept_single(attempt, recording_id, day)
    return None if single is None else single[1].path


def _chained(alias: str, path: str) -> bool:
    """Whether the chain covers a file with the sum that it has now."""
    stored = store().checksum(path)
    return chain.covers(store(), alias, {"path": path, "sha256": stored.sha256})
