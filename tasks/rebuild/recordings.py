"""Recordings that were fetched one by one, as their metadata tells of them."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from archive import paths
from archive.documents import reading
from archive.errors import ArchiveError
from config.queues import DOWNLOADS
from ledger.core import states
from ledger.rebuild.snapshots import KnownJob, KnownRecording, rebuilt_request_id
from tasks.runtime.context import store

from .exports import day_of, is_a_run_of
from .manifests import Instant
from .verified_archive import Trusted


class Metadata(BaseModel):
    """The metadata of a single recording, as docs/archive-format.md describes it."""

    kind: Literal["recording"]
    account: str
    provider: str
    recording_id: str
    path: str
    bytes: int
    sha256: str
    recording: dict[str, Any]
    job_id: str
    created_at: Instant


def singles(alias: str, trusted: Trusted, exports: Collection[str]) -> Iterator[KnownJob]:
    """The downloads and collections of an account; ``exports`` are the job ids of its exports,
    whose gaps were fetched singly too: such a recording is none of its own job's.
    """
    for path in trusted.paths(f"{alias}/recordings/", "metadata"):
        found = _read(alias, path, trusted)
        if found is None or found.path in trusted.damaged:
            continue
        if found.recording_id == found.job_id:
            # A collected recording has no id at its provider: it is named by its job.
            yield _collected(found, path)
        elif not _of_an_export(found, path, exports):
            yield _job(found, path, "recording.download", {"recording_id": found.recording_id})


def _read(alias: str, path: str, trusted: Trusted) -> Metadata | None:
    if not trusted.believes(path):
        return None
    try:
        found = Metadata.model_validate(reading.content_of(store(), path))
    except (ArchiveError, ValidationError):
        trusted.refuse(path, "is not readable as the metadata of a recording")
        return None
    if found.account != alias or not paths.is_beside(found.path, path):
        trusted.refuse(path, "speaks of another recording than its name says")
        return None
    return found


def _of_an_export(found: Metadata, path: str, exports: Collection[str]) -> bool:
    day = day_of(path)
    return found.job_id in exports or (
        day is not None and is_a_run_of(found.account, day, found.job_id)
    )


def _collected(found: Metadata, path: str) -> KnownJob:
    # Under its token nothing is told any more: it is only there to be found by its call.
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
    at = found.created_at.timestamp()
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
        result={"path": found.path, "sha256": found.sha256, "bytes": found.bytes},
        recording=recording,
    )
