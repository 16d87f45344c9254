"""Exports and days, rebuilt from their manifests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from archive import paths as archive_paths
from archive.documents import manifest
from archive.documents.instants import instant
from archive.documents.manifest import Manifest
from archive.errors import ArchiveError
from config.error_names import ErrorName
from config.queues import DOWNLOADS, DUE
from ledger.core import states
from ledger.core.job import job_id
from ledger.rebuild.snapshots import KnownDay, KnownJob, rebuilt_request_id
from tasks.runtime.context import store
from tasks.runtime.fields import utc_text
from tasks.transfers.retrieved import retrieved

from .days import archived_day, gaps, settle_seconds
from .manifests import Folder
from .verified_archive import VerifiedArchive

_RUN = "earwitness.export.run"
#: How many generations beyond the known ones are tried for a folder without a manifest.
_MORE_GENERATIONS = 100


def exports(alias: str, trusted: VerifiedArchive) -> Iterator[KnownJob | KnownDay]:
    """Yield every export of an account that has a manifest, and its days, the oldest first.

    Days between them that are not in the archive are due, and so are those that a night would catch
    up.
    """
    known: set[date] = set()
    for day, paths in groupby(_paths(alias, trusted), key=day_of):
        if day is None:
            continue
        folder = Folder(alias, day)
        for path in paths:
            _look(folder, path, trusted)
        for path, one in folder.exports.values():
            if one is not None:
                yield _job(one, path, day)
        generations = _generations(folder)
        yield from _damaged(folder, generations, trusted)
        if generations:
            row = archived_day(folder, max(generations.values()), trusted)
            if row is not None:
                known.add(day)
                yield row
    yield from gaps(alias, known)


def exported(alias: str, trusted: VerifiedArchive) -> set[str]:
    """Return the job ids of an account's exports, also of those lost before their manifests."""
    found = (path.split("/") for path in _paths(alias, trusted))
    return {parts[5] for parts in found if len(parts) == 7}


def is_a_run_of(alias: str, day: date, known: str) -> bool:
    """Return whether a job id belongs to one of a day's exports."""
    numbers = range(1, _MORE_GENERATIONS)
    return any(job_id(alias, _RUN, f"day:{day}#{one}") == known for one in numbers)


def _paths(alias: str, trusted: VerifiedArchive) -> Iterator[str]:
    prefix = f"{alias}/exports/"
    gone = [path for path in trusted.damaged if path.startswith(prefix)]
    yield from sorted({*store().paths(prefix, unlisted=True), *gone})


def day_of(path: str) -> date | None:
    """Return the day in the path of an export or of a single recording, or None."""
    try:
        return date(*(int(part) for part in path.split("/")[2:5]))
    except (ValueError, TypeError):
        return None


def _look(folder: Folder, path: str, trusted: VerifiedArchive) -> None:
    parts = path.split("/")
    if len(parts) != 7:
        return
    name = parts[5]
    manifest_path = archive_paths.manifest_path("/".join(parts[:6]))
    if path == manifest_path:
        folder.exports[name] = path, _read(folder, name, path, trusted)
    else:
        folder.exports.setdefault(name, (manifest_path, None))


def _read(folder: Folder, name: str, path: str, trusted: VerifiedArchive) -> Manifest | None:
    if not trusted.trusts(path):
        return None
    try:
        known = manifest.read_any(store(), path)
        if known is None:
            return None
        found = known.checked()
    except (ArchiveError, ValueError):
        trusted.refuse(path, "is not readable as a manifest")
        return None
    day_job = job_id(folder.account, _RUN, f"day:{found.day}#{found.generation}")
    is_day = found.window is not None and found.job_id == day_job
    whole = is_day if found.day else bool(found.window or found.parts)
    if (found.account, found.job_id) != (folder.account, name) or not whole:
        trusted.refuse(path, "describes another export than its folder says")
        return None
    return found


def _job(found: Manifest, path: str, day: date) -> KnownJob:
    at = instant(found.created_at).timestamp()
    common: dict[str, Any] = {
        "job_id": found.job_id,
        "account": found.account,
        "created_at": at,
        "updated_at": at,
        "source": path,
    }
    if found.window is None:
        return KnownJob(**common, **_retrieved(found))
    shown = f"day:{found.day}#{found.generation}" if found.day else rebuilt_request_id(found.job_id)
    return KnownJob(
        **common,
        kind="export.run",
        request_id=shown,
        parameters=_parameters(found, day),
        queue=DUE,
        archived=(
            (path, None),
            *((one.path, one.bytes) for one in found.stored()),
        ),
        **_end(found, path),
    )


def _retrieved(found: Manifest) -> dict[str, Any]:
    part = next(iter(found.parts))
    count = sum(1 for _ in part.members)
    return {
        "kind": "export.retrieve",
        "request_id": rebuilt_request_id(found.job_id),
        "parameters": {"provider_job_id": part.provider_job_id},
        "queue": DOWNLOADS,
        "state": states.DONE,
        "result": retrieved(part.file, count, part.provider_job_id),
    }


def _parameters(found: Manifest, day: date) -> dict[str, Any]:
    """Return the parameters of the export's request, which determine its fingerprint."""
    assert found.window is not None
    start, end = instant(found.window.start), instant(found.window.end)
    asked = {
        "filters": found.filters or {},
        "window": {
            "start": utc_text(start),
            "last": utc_text(end - timedelta(seconds=1)),
        },
        "folder_day": day.isoformat(),
    }
    if found.day is None:
        return asked
    settled_at = end.timestamp() + settle_seconds(found.account)
    about = {"day": found.day, "generation": found.generation}
    return {**about, **asked, "settled_at": settled_at}


def _end(found: Manifest, path: str) -> dict[str, Any]:
    counts = {"listed": found.listed, "archived": found.archived, "missing": found.missing}
    result = {"manifest": path, **counts}
    if found.complete:
        return {"state": states.DONE, "result": result}
    recordings = f"recording{'s' * (found.listed != 1)}"
    them = "it" if found.missing == 1 else "them"
    message = (
        f"not done: {found.missing} of {found.listed} {recordings} missing; {path} names {them}; "
        "the next night retries, or export the day again"
    )
    error = ErrorName.INCOMPLETE.stored(message)
    return {"state": states.FAILED, "result": result, "reason": message, "error": error}


def _generations(folder: Folder) -> dict[str, int]:
    """Return the generation of each job of the day, with or without a manifest.

    A number that was begun is not used again, so that two exports never share a folder.
    """
    found = {one.job_id: one.generation or 0 for _, one in folder.runs()}
    left = {name for name, (_, one) in folder.exports.items() if one is None}
    for generation in range(1, max(found.values(), default=0) + _MORE_GENERATIONS):
        if not left:
            break
        one = job_id(folder.account, _RUN, f"day:{folder.day}#{generation}")
        if one in left:
            left.remove(one)
            found[one] = generation
    return found


def _damaged(
    folder: Folder, generations: dict[str, int], trusted: VerifiedArchive
) -> Iterator[KnownJob]:
    """Yield exports whose manifests cannot be trusted: they are known, and failed."""
    for name, (path, one) in folder.exports.items():
        if one is not None or trusted.trusts(path):
            continue
        message = f"not done: its manifest {path} is damaged; compare it with a copy"
        at = datetime.combine(folder.day, datetime.min.time(), UTC).timestamp()
        shown = f"day:{folder.day}#{generations[name]}" if name in generations else None
        yield KnownJob(
            job_id=name,
            kind="export.run",
            account=folder.account,
            request_id=shown or rebuilt_request_id(name),
            parameters={},
            queue=DUE,
            state=states.FAILED,
            created_at=at,
            updated_at=at,
            source=path,
            reason=message,
            error=ErrorName.DAMAGED.stored(message),
        )
