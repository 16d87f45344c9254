"""Recordings that were fetched one by one, rebuilt from their metadata."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from typing import Any

from archive import paths
from archive.documents import metadata
from archive.documents.instants import instant
from archive.documents.metadata import Metadata
from archive.errors import ArchiveError
from config.queues import DOWNLOADS
from ledger.core import states
from ledger.rebuild.snapshots import KnownJob, KnownRecording, rebuilt_request_id
from tasks.runtime.context import store

from .exports import day_of, is_a_run_of
from .verified_archive import VerifiedArchive


def single_recordings(
    alias: str, trusted: VerifiedArchive, exports: Collection[str]
) -> Iterator[KnownJob]:
    """Yield the downloads and collections of an account.

    ``exports`` are the job ids of its exports, whose gaps were fetched one by one too: such a
    recording has no job of its own.
    """
    for path in trusted.paths(f"{alias}/recordings/", "metadata"):
        found = _read(alias, path, trusted)
        if found is None or found.audio.path in trusted.damaged:
            continue
        if found.recording_id == found.job_id:
            # A collected recording has no id at its provider: it is named by its job.
            yield _collected(found, path)
        elif not _of_an_export(found, path, exports):
            yield _job(found, path, "recording.download", {"recording_id": found.recording_id})


def _read(alias: str, path: str, trusted: VerifiedArchive) -> Metadata | None:
    if not trusted.trusts(path):
        return None
    try:
        found = metadata.read(store(), path).checked()
    except (ArchiveError, ValueError):
        trusted.refuse(path, "is not readable as the metadata of a recording")
        return None
    if found.account != alias or not paths.is_beside(found.audio.path, path):
        trusted.refuse(path, "describes another recording than its name says")
        return None
    return found


def _of_an_export(found: Metadata, path: str, exports: Collection[str]) -> bool:
    day = day_of(path)
    return found.job_id in exports or (
        day is not None and is_a_run_of(found.account, day, found.job_id)
    )


def _collected(found: Metadata, path: str) -> KnownJob:
    # No notification comes under its token any more: the row only makes it findable by its call.
    call = KnownRecording(
        token=secrets.token_hex(32),
        call_id=str(found.recording.get("call_id")),
        control=str(found.recording.get("control")),
    )
    about = {"call_id": call.call_id, "start_job_id": found.job_id}
    return _job(found, path, "recording.collect", about, call)


def _job(
    found: Metadata,
    path: str,
    kind: str,
    parameters: dict[str, Any],
    recording: KnownRecording | None = None,
) -> KnownJob:
    at, audio = instant(found.created_at).timestamp(), found.audio
    return KnownJob(
        job_id=found.job_id,
        kind=kind,
        account=found.account,
        request_id=rebuilt_request_id(found.job_id),
        parameters=parameters,
        queue=DOWNLOADS,
        state=states.DONE,
        created_at=at,
        updated_at=at,
        source=path,
        result={"path": audio.path, "sha256": audio.sha256, "bytes": audio.bytes},
        recording=recording,
    )
