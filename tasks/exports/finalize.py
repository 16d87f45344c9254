"""Finalizing a run: recordings.jsonl, then the manifest, whose presence marks it as archived."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import islice
from pathlib import Path

from archive import paths
from archive.documents import recordings_list
from archive.documents.manifest import Manifest, Window
from archive.documents.recordings_list import Line
from archive.errors import Contradiction
from archive.reconciliation import Counts, Reconciliation
from archive.store.directory import Stored
from config.masking import hide_secrets, mask_message
from config.version import VERSION
from ledger.core.job import Job, iso
from tasks import errors
from tasks.runtime.context import account, ledger, spool, store
from tasks.runtime.obligations import under_chain
from tasks.runtime.runner import Attempt, Ended

from . import runs

#: How many missing recordings the reason of a failed run names.
_MOST_NAMED = 10


def seal(
    attempt: Attempt, reconciliation: Reconciliation, folder: str, *, is_compared: bool
) -> Stored:
    """Write the list and the manifest of an export into its folder; return the stored manifest.

    Args:
        attempt: the attempt at the export's job.
        reconciliation: the export's ZIPs and recordings, matched.
        folder: the archive's folder of the export.
        is_compared: whether the received recordings were compared with the provider's list, so that
            the export is complete if none is missing.

    Raises:
        errors.Damaged: another worker sealed the same export in another way.
    """
    _note_begun(attempt)
    recordings = _keep_recordings(attempt, reconciliation, paths.recordings_path(folder))
    manifest = _manifest(attempt.job, reconciliation, recordings, is_compared=is_compared)
    return _keep(attempt, paths.manifest_path(folder), manifest.write)


def ended(reconciliation: Reconciliation, manifest: Stored, job: Job, unclear: list[str]) -> Ended:
    """Return the end of a run whose manifest is stored: ``{manifest, listed, archived, missing}``.

    The run failed if a recording is missing. ``unclear`` are names of members that could not be
    matched, when most could not.
    """
    counts = reconciliation.counts()
    result = {
        "manifest": manifest.path,
        "listed": counts.listed,
        "archived": counts.archived,
        "missing": counts.missing,
    }
    failure = _failure(counts, unclear, reconciliation, job.work.get("refused", []))
    return Ended(result, failure, [under_chain(manifest)])


def _note_begun(attempt: Attempt) -> None:
    """Note the values that may change: another worker that completes this run writes the same."""
    if "sealed_at" not in attempt.job.work:
        attempt.note(sealed_at=attempt.job.updated_at, timezone=_timezone(attempt.job))


def _timezone(job: Job) -> str:
    """Return the time zone by which the days of the run were counted."""
    if "day" in job.parameters:
        day = date.fromisoformat(job.parameters["day"])
        for row in ledger().days.of(job.account, day, day):
            return row.timezone
    return account(job.account).zone


def _manifest(
    job: Job, reconciliation: Reconciliation, recordings: Stored, *, is_compared: bool
) -> Manifest:
    counts, asked = reconciliation.counts(), job.parameters
    return Manifest(
        account=job.account,
        provider=account(job.account).provider,
        job_id=job.job_id,
        day=asked.get("day"),
        generation=asked.get("generation"),
        window=Window(**runs.window(asked)) if "window" in asked else None,
        # A run that an older version began to seal has noted no time zone, and is sealed without
        # one.
        timezone=job.work.get("timezone"),
        filters=asked.get("filters"),
        parts=reconciliation.parts(),
        files=reconciliation.files(),
        recordings=recordings,
        listed=counts.listed,
        archived=counts.archived,
        missing=counts.missing,
        unexpected=counts.unexpected,
        complete=is_compared and counts.missing == 0,
        created_at=iso(job.work["sealed_at"]) or "",
        version=VERSION,
    )


def _keep_recordings(attempt: Attempt, reconciliation: Reconciliation, path: str) -> Stored:
    if store().exists(path):
        return store().checksum(path, on_bytes=lambda _: attempt.check())
    return _keep(
        attempt, path, lambda target: recordings_list.write(target, reconciliation.lines())
    )


def _keep(attempt: Attempt, path: str, write: Callable[[Path], tuple[int, str]]) -> Stored:
    target = spool().scratch(f"sealing-{attempt.job.job_id}")
    try:
        _, sha256 = write(target)
        attempt.check()
        return store().keep(path, target, sha256, on_bytes=lambda _: attempt.check())
    except Contradiction as error:
        failure = errors.Damaged(
            f"not done: {error}; another worker wrote this run with other content; compare both, "
            "then retry the job"
        )
        failure.contradicts = error.path
        raise failure from None
    finally:
        target.unlink(missing_ok=True)


def _failure(
    counts: Counts, unclear: list[str], reconciliation: Reconciliation, refused: list[str]
) -> errors.JobError | None:
    of_listed = f"{counts.missing} of {counts.listed} recording{'s' * (counts.listed != 1)}"
    if unclear:
        are = "is" if 1 in (counts.missing, counts.listed) else "are"
        shown = ", ".join(map(mask_message, unclear))
        return errors.Incomplete(
            f"not done: member names not understood, for example {shown}; "
            f"{of_listed} {are} not matched to a member"
        )
    if counts.missing == 0:
        return None
    missing = (line for line in reconciliation.lines() if line.is_missing)
    named = ", ".join(map(_named, islice(missing, _MOST_NAMED)))
    named += ", ..." if counts.missing > _MOST_NAMED else ""
    return errors.Incomplete(
        f"not done: {of_listed} missing ({named}); the next night retries, or retry the job"
        + "".join(f"; {reason}" for reason in refused)
    )


def _named(line: Line) -> str:
    """Return a missing recording by its id.

    A recording that is set aside also gets the reason and its start, so that a person finds it at
    the provider.
    """
    name = hide_secrets(line.shown_id)
    if not line.set_aside:
        return name
    return f"{name} ({line.set_aside}; start {line.start or 'unknown'}; see recordings.jsonl)"
