"""The proof before a deletion: the archive holds the recording whole, verified and chained."""

from __future__ import annotations

from datetime import date

from archive.audio.acceptance import description, fault_of, listed
from archive.audio.detection import Listener
from archive.documents import manifest, metadata, recordings_list
from archive.documents.recordings_list import Line
from archive.errors import ArchiveError, Damaged
from archive.search import search
from providers.interface import DeletesRecordings
from tasks import errors
from tasks.archive_watch.chained import is_chained
from tasks.days import windows
from tasks.runtime.context import account as account_of
from tasks.runtime.context import store
from tasks.runtime.runner import Attempt
from tasks.transfers.single_recording import kept_single, start_of


def refuse_unproven(attempt: Attempt, provider: DeletesRecordings, recording_id: str) -> str:
    """Return the path of the manifest or metadata that proves the recording whole in the archive.

    The bytes are read back just now and agree with its checksum. Raises Rejected if there is no
    such proof.
    """
    day = _day(attempt, provider, recording_id)
    try:
        proof = _find_proof(attempt, recording_id, day)
    except (ArchiveError, KeyError) as error:
        raise errors.Rejected(
            f"not done: recording {recording_id} is not whole in the archive ({error})"
        ) from None
    if proof is None or not is_chained(attempt.job.account, proof):
        raise errors.Rejected(
            f"not done: recording {recording_id} is not archived, verified and chained; archive it "
            "first, or give a reason with unarchived = true"
        )
    return proof


def _day(attempt: Attempt, provider: DeletesRecordings, recording_id: str) -> date:
    """Return the local day of the recording's start, from the request or the provider."""
    day = attempt.job.parameters.get("day") or attempt.job.work.get("day")
    if day is None:
        start = start_of(provider.recording(recording_id))
        day = windows.local_day(start, account_of(attempt.job.account).zone).isoformat()
        # Noted before the request leaves: if its answer is lost, the provider does not say the day
        # again.
        attempt.note(day=day)
    return date.fromisoformat(day)


def _find_proof(attempt: Attempt, recording_id: str, day: date) -> str | None:
    """Return the path of the manifest or metadata that holds the recording, its bytes checked.

    The bytes agree with the document and are the whole recording: older releases took other files
    for recordings. Raises Missing, Damaged.
    """
    fault = None
    known = manifest.latest(store(), attempt.job.account, day)
    while known is not None:
        for line in recordings_list.read(store(), known.recordings.path):
            if line.id == recording_id and not line.is_missing:
                found = find_fault(attempt, line)
                if found is None:
                    return known.path
                fault = fault or Damaged(line.path, found)
        # A later generation did not list the recording any more: what an earlier one archived is
        # still there.
        known = manifest.latest(store(), attempt.job.account, day, before=known.generation)
    single = kept_single(attempt, recording_id, day)
    if single is not None:
        found = find_fault(attempt, metadata.read(store(), single[1].path).as_line())
        if found is None:
            return single[1].path
        fault = fault or Damaged(single[0].path, found)
    if fault is not None:
        raise fault
    return None


def find_fault(attempt: Attempt, line: Line) -> str | None:
    """Return why the archived bytes are not the whole recording of a line, or None if they are.

    Raises Missing, and Damaged if they are not the bytes that the line names.
    """
    listener, head = Listener(whole=True), b""
    for piece in search.audio(store(), line):
        attempt.check()
        head = head or piece[:512]
        listener.feed(piece)
    sound = listener.sound()
    if sound is None:
        return f"its bytes of this recording are not audio but {description(head)}"
    return fault_of(
        sound,
        line.place.bytes,
        expected_bytes=listed(line.fields.get("file_size_in_bytes")),
        expected_ms=listed(line.fields.get("duration")),
    )
