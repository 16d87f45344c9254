"""A single recording: fetched, checked against the listing, stored with its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from archive import paths
from archive.audio import acceptance
from archive.audio.detection import hear
from archive.documents import metadata as metadata_documents
from archive.documents.metadata import Metadata
from archive.errors import Contradiction, Damaged
from archive.store.directory import Stored
from config.version import VERSION
from providers.errors import Uncertain
from providers.interface import ListsRecordings, Recording
from tasks.runtime import metrics
from tasks.runtime.context import account as account_of
from tasks.runtime.context import ledger, store
from tasks.runtime.obligations import under_chain
from tasks.runtime.runner import Attempt, Wait

from . import refused
from .transfer import Open, fetched

#: How many damaged downloads end the job; after each earlier one the recording is fetched again.
_MOST_DAMAGED = 3


@dataclass(frozen=True)
class SingleRecording:
    """A recording as the archive names it.

    ``fields`` holds all of its other fields. The size in bytes and the duration in
    milliseconds are set if the provider gives them.
    """

    provider: str
    recording_id: str
    day: date
    fields: dict[str, Any]
    expected_bytes: int | None = None
    expected_ms: int | None = None


def start_of(recording: Recording) -> datetime:
    """Return when a recording began. Raises Uncertain if its provider does not say."""
    if recording.start is None:
        why = recording.set_aside or "its start cannot be read"
        raise Uncertain("the provider", f"recording {recording.id} has no day: {why}")
    return recording.start


def keep_listed(
    attempt: Attempt, provider: ListsRecordings, line: dict[str, Any], day: date
) -> tuple[Stored, Stored]:
    """Archive a recording that its provider lists, as `keep` does.

    ``line`` is the recording's line in the listing, as the archive stores it.
    """
    single = SingleRecording(
        provider=account_of(attempt.job.account).provider,
        recording_id=line["id"],
        day=day,
        fields=line,
        expected_bytes=acceptance.listed(line.get("file_size_in_bytes")),
        expected_ms=acceptance.listed(line.get("duration")),
    )
    return keep(
        attempt,
        single,
        lambda etag, offset: provider.audio(line["id"], etag=etag, offset=offset),
    )


def keep(attempt: Attempt, single: SingleRecording, open_body: Open) -> tuple[Stored, Stored]:
    """Archive a recording's audio and metadata, fetched unless they are there; return both files.

    Raises what the provider's client raises; Damaged if the received file is not the listed
    recording, or the archived file under its name is no audio; Contradiction if another recording
    is archived under its name. A refused file that may still be a recording is set aside in the
    spool, and the error says where.
    """
    known = kept_single(attempt, single.recording_id, single.day)
    if known is not None:
        owe_entry(attempt, known[1], is_new=False)
        return known
    account = attempt.job.account
    name = f"audio-{_owner(attempt)}-{paths.safe(single.recording_id)}"
    with fetched(attempt, name, open_body, expected_bytes=single.expected_bytes) as (
        part,
        sha256,
        content_type,
    ):
        try:
            extension = acceptance.verify(
                part.path,
                content_type=content_type,
                expected_bytes=single.expected_bytes,
                expected_ms=single.expected_ms,
                on_bytes=lambda _: attempt.check(),
            )
            path = paths.recording_path(account, single.day, single.recording_id, extension)
            _refuse_other_bytes(account, single, sha256)
            stored = store().keep(
                path, part.path, sha256, on_bytes=lambda _: attempt.check(), state=part.state
            )
        except Damaged as error:
            metrics.verification_failures.labels(account, metrics.DAMAGED).inc()
            reason = error.reason + refused.set_aside(part, account, single.recording_id, sha256)
            raise Damaged(f"recording {single.recording_id}", reason) from None
        finally:
            part.discard()
    refused.drop(account, single.recording_id)
    metrics.archived_bytes.labels(account).inc(stored.bytes)
    return stored, _keep_metadata(attempt, single, stored)


def owe_entry(attempt: Attempt, metadata: Stored, *, is_new: bool) -> None:
    """Add the chain entry of a recording's metadata to the outbox at once, not at the job's end.

    The recordings of a long run must not look unchained to a verification. If the metadata is not
    new, the entry may be pending already, unless a worker died before it added the entry.
    """
    account, (kind, entry) = attempt.job.account, under_chain(metadata)
    if is_new:
        ledger().outbox.owe(_owner(attempt), account, kind, entry)
    else:
        ledger().archive_record.owe_entry_once(_owner(attempt), account, entry)


def _owner(attempt: Attempt) -> str:
    """Return the id of the job that owns a recording in the archive: for a part, its parent's."""
    return attempt.job.parent_id or attempt.job.job_id


def _refuse_other_bytes(account: str, single: SingleRecording, sha256: str) -> None:
    """Raise Contradiction if the audio was lost, its metadata was not, and the new bytes differ.

    Only the very same bytes may replace lost audio.
    """
    path = paths.recording_json_path(account, single.day, single.recording_id)
    if store().exists(path) and metadata_documents.read(store(), path).audio.sha256 != sha256:
        raise Contradiction(
            path,
            "names audio that is missing, and the provider now has different bytes (SHA-256 "
            f"{sha256}); nothing was stored; restore the audio from a copy",
        )


def fetch_again(attempt: Attempt, error: Damaged) -> None:
    """Raise Wait if a damaged recording is fetched once more; return after the last time."""
    times = int(attempt.job.work.get("damaged", 0)) + 1
    attempt.job.work["damaged"] = times
    if times < _MOST_DAMAGED:
        raise Wait(f"{error}; will download it again", attempt.next_backoff("fetches")) from None


def kept_single(attempt: Attempt, recording_id: str, day: date) -> tuple[Stored, Stored] | None:
    """Return the archived recording, its checksum verified, or None if a file of it is missing.

    The files are its metadata and its audio. Raises Contradiction if the audio is another one,
    Damaged if it is no audio: older releases did not look at all of its bytes.
    """
    path = paths.recording_json_path(attempt.job.account, day, recording_id)
    if not store().exists(path):
        return None
    audio = metadata_documents.read(store(), path).audio
    if not store().exists(audio.path):
        return None
    stored = store().checksum(audio.path, on_bytes=lambda _: attempt.check())
    if stored.sha256 != audio.sha256:
        raise Contradiction(
            stored.path,
            f"does not have the SHA-256 that {path} states; run verify and compare both",
        )
    with store().open(stored.path) as file:
        if hear(file, whole=False) is None:
            raise Damaged(
                stored.path,
                "has this recording's name in the archive, but is not audio; nothing was "
                "overwritten; save the recording by hand",
            )
    return stored, store().checksum(path)


def _keep_metadata(attempt: Attempt, single: SingleRecording, stored: Stored) -> Stored:
    account = attempt.job.account
    path = paths.recording_json_path(account, single.day, single.recording_id)
    content = Metadata(
        account=account,
        provider=single.provider,
        recording_id=single.recording_id,
        audio=stored,
        recording=single.fields,
        job_id=_owner(attempt),
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        version=VERSION,
    )
    try:
        metadata = store().create(path, content.to_bytes())
    except FileExistsError:
        known = kept_single(attempt, single.recording_id, single.day)
        if known is None or known[0].sha256 != stored.sha256:
            raise Contradiction(path, "names another file; run verify and compare both") from None
        metadata = known[1]
        owe_entry(attempt, metadata, is_new=False)
    else:
        owe_entry(attempt, metadata, is_new=True)
    return metadata
