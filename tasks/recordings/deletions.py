"""Deleting at the provider: only what is archived, verified and chained, and after its time."""

from __future__ import annotations

from datetime import date, datetime

from archive import chain
from archive.audio.acceptance import description, fault_of, listed
from archive.audio.detection import Listener
from archive.documents import manifest, metadata, recordings_list
from archive.documents.chain_entry import Covered
from archive.documents.recordings_list import Line
from archive.errors import ArchiveError, Damaged
from archive.search import search
from config.accounts import VonageAccount
from config.queues import DUE
from ledger.core.opening import Request
from providers.vonage.client import Vonage
from tasks import errors
from tasks.days import windows
from tasks.runtime.context import ledger, store, vonage_account
from tasks.runtime.messages import publish_first
from tasks.runtime.runner import Attempt
from tasks.transfers.single_recording import kept_single

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
        if known is None or not known.complete or not _chained(account.alias, known.path):
            continue
        for line in recordings_list.read(store(), known.recordings.path):
            job, number = ledger().opening.open(
                deletion(account.alias, line.id, day.day), by="nightly plan"
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
    """The manifest or metadata that holds the recording, once its bytes agree with it and are the
    whole recording's: older releases took other files for recordings. Raises Missing, Damaged.
    """
    fault = None
    known = manifest.latest(store(), attempt.job.account, day)
    while known is not None:
        for line in recordings_list.read(store(), known.recordings.path):
            if line.id == recording_id and not line.is_missing:
                found = _fault(attempt, line)
                if found is None:
                    return known.path
                fault = fault or Damaged(line.path, found)
        # A later look did not list it any more: what an earlier one archived is there all the same.
        known = manifest.latest(store(), attempt.job.account, day, before=known.generation)
    single = kept_single(attempt, recording_id, day)
    if single is not None:
        found = _fault(attempt, metadata.read(store(), single[1].path).as_line())
        if found is None:
            return single[1].path
        fault = fault or Damaged(single[0].path, found)
    if fault is not None:
        raise fault
    return None


def _fault(attempt: Attempt, line: Line) -> str | None:
    """Why the bytes in the archive are not the whole recording of a line; None where they are.
    Raises Missing, and Damaged where they are not those that the line names.
    """
    listener, head = Listener(whole=True), b""
    for piece in search.audio(store(), line):
        attempt.check()
        head = head or piece[:512]
        listener.feed(piece)
    sound = listener.sound()
    if sound is None:
        return f"what it holds of this recording is not audio but {description(head)}"
    return fault_of(
        sound,
        line.place.bytes,
        expected_bytes=listed(line.fields.get("file_size_in_bytes")),
        expected_ms=listed(line.fields.get("duration")),
    )


def _chained(alias: str, path: str) -> bool:
    """Whether the chain covers a file with the sum that it has now."""
    return chain.covers(store(), alias, Covered.of(store().checksum(path)))
