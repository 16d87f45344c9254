"""Reconciling a run: what the provider lists against what lies in the archive.

What is missing is fetched by `batches`. While the run waits, for them or for the archive,
`comparison` keeps what was found, so that neither the list nor the archive is read again.

Another worker may repeat everything up to ``recordings.jsonl``. From there on the bytes follow from
what is stored, so that a worker that completes the run late writes the same ones.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from archive import paths as archive_paths
from archive.audio.detection import hear
from archive.documents import manifest, recordings_list
from archive.documents.manifest import Manifest
from archive.documents.recordings_list import Line
from archive.errors import Damaged, Dangerous, Missing
from archive.reconciliation import Reconciliation
from archive.spool.member_lists import Hearing
from archive.store.directory import Stored
from config.queues import DOWNLOADS
from ledger.core import states
from providers.interface import ListsRecordings
from tasks.runtime.client import client
from tasks.runtime.context import ledger, store
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.runner import Attempt, Ended, Parts, Wait
from tasks.transfers.single_recording import owe_entry

from . import batches, comparison, members, runs
from .finalize import ended, seal
from .preview import refuse_unsettled

_log = logging.getLogger(__name__)

#: After so many passes without agreement, a listing is tried again later.
_MOST_PASSES = 5


def reconcile(attempt: Attempt) -> Ended | Parts:
    """Compare what the provider lists with what the archive holds, have the gaps fetched, and seal
    the run: ``{manifest, listed, archived, missing}``; failed if a recording is missing.
    """
    path = archive_paths.recordings_path(runs.folder(attempt.job))
    with apply_error_policy(attempt, waits_for_credentials=True):
        # A worker may have died between the list and its manifest: its list stands.
        if store().exists(path):
            with comparison.scratch(attempt) as reconciliation:
                return _over(attempt, reconciliation, _adopt_and_seal(attempt, reconciliation))
        kept = comparison.kept(attempt)
        if kept is None:
            with comparison.scratch(attempt) as reconciliation:
                unchanged = _compare(attempt, reconciliation)
                if unchanged is not None:
                    return _over(attempt, reconciliation, unchanged)
                kept = comparison.keep(attempt, reconciliation, batches=0)
        with comparison.scratch(attempt, kept) as reconciliation:
            return _fill_and_seal(attempt, reconciliation)


def _over(attempt: Attempt, reconciliation: Reconciliation, outcome: Ended) -> Ended:
    """Remove from the spool what only this run needed."""
    members.forget(part.file for part in reconciliation.parts())
    comparison.forget(attempt)
    return outcome


def seal_alone(attempt: Attempt, folder: str, zip_file: Stored) -> Stored:
    """Seal a ZIP that was retrieved by itself, without a list; return the stored manifest."""
    provider_job_id = attempt.job.parameters["provider_job_id"]
    with comparison.scratch(attempt) as reconciliation:
        members.add(attempt, reconciliation, provider_job_id, zip_file, "unheard")
        manifest_file = seal(attempt, reconciliation, folder, is_compared=False)
    members.forget([zip_file])
    return manifest_file


def _adopt_and_seal(attempt: Attempt, reconciliation: Reconciliation) -> Ended:
    _read_parts(attempt, reconciliation)
    path = archive_paths.recordings_path(runs.folder(attempt.job))
    reconciliation.adopt(recordings_list.read(store(), path))
    _earlier(attempt, reconciliation)
    _owe_entries(attempt, reconciliation)
    return _sealed(attempt, reconciliation, unclear=[])


def _compare(attempt: Attempt, reconciliation: Reconciliation) -> Ended | None:
    """List the window and match it with what lies in the archive. Return the run's end if a
    later look at a complete day found nothing new: then no gap is left to fill.
    """
    attempt.job.work.pop("refused", None)
    with client(attempt, ListsRecordings) as provider:
        _list(attempt, provider, reconciliation)
    _read_parts(attempt, reconciliation)
    known = _earlier(attempt, reconciliation)
    reconciliation.match()
    if known is not None and known.complete and _nothing_new(reconciliation, known):
        return _unchanged(known)
    return None


def _fill_and_seal(attempt: Attempt, reconciliation: Reconciliation) -> Ended | Parts:
    """Have the next batches of missing recordings fetched; seal the run once none is left."""
    batches.place(attempt, reconciliation, after=comparison.batches_known(attempt))
    unclear = reconciliation.not_understood()
    requests = [] if unclear else batches.next_requests(attempt, reconciliation)
    if not requests:
        return _over(attempt, reconciliation, _sealed(attempt, reconciliation, unclear=unclear))
    comparison.keep(attempt, reconciliation, batches=batches.opened(attempt))
    batches.note_opened(attempt, requests)
    return Parts(requests, DOWNLOADS)


def _sealed(attempt: Attempt, reconciliation: Reconciliation, *, unclear: list[str]) -> Ended:
    folder = runs.folder(attempt.job)
    manifest_file = seal(attempt, reconciliation, folder, is_compared=not unclear)
    return ended(reconciliation, manifest_file, attempt.job, unclear)


def _owe_entries(attempt: Attempt, reconciliation: Reconciliation) -> None:
    """Add the chain entries of recordings that a worker fetched one by one before it died."""
    for single in reconciliation.files():
        metadata = archive_paths.metadata_path(single.file.path)
        if store().exists(metadata):
            owe_entry(attempt, store().checksum(metadata), is_new=False)


def _read_parts(attempt: Attempt, reconciliation: Reconciliation) -> None:
    """Add every stored ZIP of the run, member by member."""
    for part in ledger().jobs.parts(attempt.job.job_id, kind="export.retrieve"):
        if part.state != states.DONE or part.result is None:
            continue
        found = part.result
        stored = Stored(found["path"], found["bytes"], found["sha256"])
        members.add(
            attempt, reconciliation, found["provider_job_id"], stored, _hearing(reconciliation)
        )


def _hearing(reconciliation: Reconciliation) -> Hearing:
    return members.hearing(is_sized=reconciliation.lists_every_size())


def _list(attempt: Attempt, provider: ListsRecordings, reconciliation: Reconciliation) -> None:
    """List the window until two passes agree."""
    parameters = attempt.job.parameters
    request = runs.export_request(parameters)
    for number in range(_MOST_PASSES):
        reconciliation.start_pass()
        for recording in provider.every_recording(request.filters, window=request.window):
            attempt.check()
            if runs.in_window(parameters, recording):
                reconciliation.listed(recording.line())
        if number and reconciliation.passes_agree():
            refuse_unsettled(attempt, provider)
            return
    raise Wait(
        "the provider's list changed each time it was read", attempt.next_backoff("listings")
    )


def _earlier(attempt: Attempt, reconciliation: Reconciliation) -> Manifest | None:
    """Take over what earlier generations of the day archived; return the newest one's manifest.

    The manifest no longer counts as complete if a file that it names is gone or is no audio.
    """
    if "day" not in attempt.job.parameters:
        return None
    known = manifest.latest(
        store(),
        attempt.job.account,
        runs.folder_day(attempt.job),
        before=attempt.job.parameters["generation"],
    )
    if known is None:
        return None
    there = runs.Presence(known)
    try:
        are_audio = _take_over(attempt, reconciliation, known, there)
    except Missing as error:
        # The list of that generation is gone: its recordings are fetched once more.
        _log.warning("cannot tell what an earlier generation archived: %s", error)
        return None
    return replace(known, complete=known.complete and there.is_whole and are_audio)


def _take_over(
    attempt: Attempt,
    reconciliation: Reconciliation,
    known: Manifest,
    there: runs.Presence,
) -> bool:
    """Take over the recordings that an earlier generation archived and that are there.

    Returns whether each of these is audio. Raises Missing if that generation's list is gone.
    """
    are_audio = True
    unheard = _unheard(attempt, reconciliation, known, there)
    for line in recordings_list.read(store(), known.recordings.path):
        if line.is_missing or not there.holds(line.path):
            continue
        audio = line.audio or _heard(reconciliation, line, unheard)
        if audio is None:
            are_audio = False
        else:
            reconciliation.earlier(line.id, replace(line.place, audio=audio))
    return are_audio


def _unheard(
    attempt: Attempt,
    reconciliation: Reconciliation,
    known: Manifest,
    there: runs.Presence,
) -> set[str]:
    """Read the ZIPs of recordings whose audio no release has checked yet; return those read.

    Their members are added again, so that a recording without audio at its place is looked for in
    them. ZIPs that cannot be read are left out.
    """
    found: set[str] = set()
    paths = {
        line.path: None
        for line in recordings_list.read(store(), known.recordings.path)
        if line.is_in_zip and line.audio is None and there.holds(line.path)
    }
    for path in paths:
        reconciliation.earlier_zip(path)
        try:
            with store().open(path) as file:
                heard = _hearing(reconciliation)
                for member in members.read(attempt, file, name=path, heard=heard):
                    reconciliation.member(path, member)
            found.add(path)
        except (Damaged, Dangerous) as error:
            _log.warning("an earlier ZIP of the day is damaged: %s", error)
    return found


def _heard(reconciliation: Reconciliation, line: Line, zips_read: set[str]) -> str | None:
    """Return the format of an archived recording by its bytes, or None if it is no audio."""
    if line.member is not None:
        if line.path not in zips_read:
            return None
        return reconciliation.heard(line.path, line.member, line.sha256)
    with store().open(line.path) as file:
        sound = hear(file, whole=False)
    return None if sound is None else sound.format


def _nothing_new(reconciliation: Reconciliation, known: Manifest) -> bool:
    """Return whether a later look at a complete day found no recording that its manifest lacks."""
    before = {line.id for line in recordings_list.read(store(), known.recordings.path)}
    return all(line.id in before for line in reconciliation.lines())


def _unchanged(known: Manifest) -> Ended:
    counts = {"listed": known.listed, "archived": known.archived, "missing": known.missing}
    return Ended({"manifest": known.path, **counts})
