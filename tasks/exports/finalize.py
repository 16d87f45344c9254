"""Sealing a run: recordings.jsonl, then the manifest, whose presence means that it is archived."""

from __future__ import annotations

from datetime import date
from typing import Any

from archive import paths
from archive.documents import manifest
from archive.errors import Contradiction
from archive.reconciliation import Reconciliation
from archive.store.directory import Stored
from archive.zip import verification
from config.masking import hide_secrets, mask_message
from config.version import VERSION
from ledger.core.job import Job, iso
from tasks import errors
from tasks.runtime.context import account, ledger, spool, store, zip_limits
from tasks.runtime.runner import Attempt, Ended

from . import runs


def seal(attempt: Attempt, reconciliation: Reconciliation, *, unclear: list[str]) -> Ended:
    """Write the run's list and manifest, and end the job; failed where a recording is missing.

    ``unclear`` are names of members that could not be matched, when most could not.
    """
    job, folder = attempt.job, runs.folder(attempt.job)
    _note_begun(attempt)
    recordings = _keep_recordings(attempt, reconciliation, paths.recordings_path(folder))
    counts = reconciliation.counts()
    header = {
        **_header(job),
        "day": job.parameters.get("day"),
        "generation": job.parameters.get("generation"),
        "window": runs.window(job.parameters),
        "filters": job.parameters["filters"],
        "complete": counts.missing == 0 and not unclear,
    }
    stored = _keep(
        attempt,
        paths.manifest_path(folder),
        lambda target: manifest.write_manifest(target, header, reconciliation, recordings),
    )
    result = {
        "manifest": stored.path,
        "listed": counts.listed,
        "archived": counts.archived,
        "missing": counts.missing,
    }
    refused = job.work.get("refused", [])
    failure = _failure(counts, unclear, reconciliation, refused)
    return Ended(result, failure, _owed(reconciliation, stored))


def seal_retrieved(
    attempt: Attempt, folder: str, zip_file: Stored, provider_job_id: str
) -> list[tuple[str, dict[str, Any]]]:
    """Write the manifest of a ZIP that was retrieved on its own, with nothing to compare it with;
    what is owed for it.
    """
    _note_begun(attempt)
    scratch = spool().scratch(f"reconciliation-{attempt.job.job_id}")
    try:
        with Reconciliation(scratch) as reconciliation:
            reconciliation.part(provider_job_id, zip_file)
            with store().open(zip_file.path) as file:
                for member in verification.members(
                    file, zip_limits(), path=zip_file.path, on_bytes=lambda _: attempt.check()
                ):
                    reconciliation.member(provider_job_id, member)
            reconciliation.match()
            recordings = _keep_recordings(attempt, reconciliation, paths.recordings_path(folder))
            header = {
                **_header(attempt.job),
                "day": None,
                "generation": None,
                "window": None,
                "filters": None,
                "complete": False,
            }
            stored = _keep(
                attempt,
                paths.manifest_path(folder),
                lambda target: manifest.write_manifest(target, header, reconciliation, recordings),
            )
    finally:
        scratch.unlink(missing_ok=True)
    return [("chain", {"path": stored.path, "sha256": stored.sha256})]


def _note_begun(attempt: Attempt) -> None:
    """Note what may change: another worker that completes this run writes the same bytes."""
    if "sealed_at" not in attempt.job.work:
        attempt.note(sealed_at=attempt.job.updated_at, timezone=_timezone(attempt.job))


def _timezone(job: Job) -> str:
    """The time zone by which the days of the run were counted."""
    if "day" in job.parameters:
        day = date.fromisoformat(job.parameters["day"])
        for row in ledger().days.of(job.account, day, day):
            return row.timezone
    return account(job.account).zone


def _header(job: Job) -> dict[str, Any]:
    # A run that an older version began to seal has noted no time zone, and is sealed without.
    zone = {"timezone": job.work["timezone"]} if "timezone" in job.work else {}
    return {
        **zone,
        "schema": 1,
        "kind": "export",
        "account": job.account,
        "provider": account(job.account).provider,
        "job_id": job.job_id,
        "created_at": iso(job.work["sealed_at"]),
        "version": VERSION,
    }


def _keep_recordings(attempt: Attempt, reconciliation: Reconciliation, path: str) -> Stored:
    if store().exists(path):
        return store().checksum(path, on_bytes=lambda _: attempt.check())
    return _keep(attempt, path, lambda target: manifest.write_recordings(target, reconciliation))


def _keep(attempt: Attempt, path: str, write: Any) -> Stored:
    target = spool().scratch(f"sealing-{attempt.job.job_id}")
    try:
        _, sha256 = write(target)
        attempt.check()
        return store().keep(path, target, sha256, on_bytes=lambda _: attempt.check())
    except Contradiction as error:
        failure = errors.Damaged(
            f"not done: {error}; another worker sealed this run in another way; look at both and "
            "retry the job"
        )
        failure.contradicts = error.path
        raise failure from None
    finally:
        target.unlink(missing_ok=True)


def _failure(
    counts: Any, unclear: list[str], reconciliation: Reconciliation, refused: list[str]
) -> errors.JobError | None:
    if unclear:
        shown = ", ".join(map(mask_message, unclear))
        return errors.Incomplete(
            f"not done: member names not understood, for example {shown}; "
            f"{counts.missing} of {counts.listed} recordings are not matched to a member"
        )
    if counts.missing == 0:
        return None
    names = [_named(line) for line in reconciliation.lines() if line.get("missing")]
    named = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return errors.Incomplete(
        f"not done: {counts.missing} of {counts.listed} missing (recordings {named}); the next "
        "night tries again, or retry the job" + "".join(f"; {reason}" for reason in refused)
    )


def _named(line: dict[str, Any]) -> str:
    """A missing recording by its id; one that is set aside with the reason and, so that a person
    finds it at the provider, its start.
    """
    name = hide_secrets(str(line["id"]))
    if not line.get("set_aside"):
        return name
    start = line["start"] or "unknown"
    return f"{name} ({line['set_aside']}; start {start}; see recordings.jsonl)"


def _owed(reconciliation: Reconciliation, stored: Stored) -> list[tuple[str, dict[str, Any]]]:
    owed = [("chain", {"path": stored.path, "sha256": stored.sha256})]
    for line in reconciliation.lines():
        metadata = line.get("path", "").rpartition(".")[0] + ".json"
        if "member" not in line and not line.get("missing") and store().exists(metadata):
            entry = store().checksum(metadata)
            owed.append(("chain", {"path": entry.path, "sha256": entry.sha256}))
    return owed
