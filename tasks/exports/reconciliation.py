"""Reconciling a run: compare the provider's list with the archive, and fill gaps one by one.

Another worker may repeat everything up to ``recordings.jsonl``. From there on the bytes follow from
what is stored, so that a worker that completes the run late writes the same ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from archive import paths as archive_paths
from archive.audio.detection import hear
from archive.documents import manifest, recordings_list
from archive.documents.manifest import Manifest
from archive.documents.recordings_list import Line
from archive.errors import Contradiction, Damaged, Dangerous, Missing
from archive.reconciliation import Reconciliation
from archive.spool.member_lists import Hearing
from archive.store.directory import Stored
from ledger.core import states
from providers.errors import BadCredentials, Rejected, Uncertain
from providers.interface import ListsRecordings
from tasks.runtime.client import client
from tasks.runtime.context import account, ledger, spool, store
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.runner import Attempt, Ended, Wait
from tasks.transfers.single_recording import keep_listed, owe_entry

from . import members, runs
from .finalize import ended, seal
from .preview import refuse_unsettled

_log = logging.getLogger(__name__)

#: After so many passes without agreement, a listing is tried again later.
_MOST_PASSES = 5
#: How often one attempt asks for a recording that came damaged or not at all.
_TRIES = 3
#: How many refused recordings the reason of a failed run names.
_MOST_NAMED = 3


def reconcile(attempt: Attempt) -> Ended:
    """Compare the provider's list with the archive, and seal the run.

    Returns ``{manifest, listed, archived, missing}``; the run failed if a recording is missing.
    """
    attempt.job.work.pop("refused", None)
    path = archive_paths.recordings_path(runs.folder(attempt.job))
    with (
        apply_error_policy(attempt, waits_for_credentials=True),
        _scratch(attempt) as reconciliation,
    ):
        # A worker may have died between the list and its manifest: its list stands.
        finish = _adopt_and_seal if store().exists(path) else _look_and_seal
        outcome = finish(attempt, reconciliation)
        members.forget(part.file for part in reconciliation.parts())
        return outcome


def seal_alone(attempt: Attempt, folder: str, zip_file: Stored) -> Stored:
    """Seal a ZIP that was retrieved by itself, without a list; return the stored manifest."""
    provider_job_id = attempt.job.parameters["provider_job_id"]
    with _scratch(attempt) as reconciliation:
        members.add(attempt, reconciliation, provider_job_id, zip_file, "unheard")
        manifest_file = seal(attempt, reconciliation, folder, is_compared=False)
    members.forget([zip_file])
    return manifest_file


@contextmanager
def _scratch(attempt: Attempt) -> Iterator[Reconciliation]:
    """Open the reconciliation of a job, in a scratch file of the spool."""
    scratch = spool().scratch(f"reconciliation-{attempt.job.job_id}")
    try:
        with Reconciliation(scratch) as reconciliation:
            yield reconciliation
    finally:
        scratch.unlink(missing_ok=True)


def _adopt_and_seal(attempt: Attempt, reconciliation: Reconciliation) -> Ended:
    _read_parts(attempt, reconciliation)
    path = archive_paths.recordings_path(runs.folder(attempt.job))
    reconciliation.adopt(recordings_list.read(store(), path))
    _earlier(attempt, reconciliation)
    _owe_entries(attempt, reconciliation)
    return _sealed(attempt, reconciliation, unclear=[])


def _look_and_seal(attempt: Attempt, reconciliation: Reconciliation) -> Ended:
    with client(attempt, ListsRecordings) as provider:
        _list(attempt, provider, reconciliation)
        _read_parts(attempt, reconciliation)
        known = _earlier(attempt, reconciliation)
        reconciliation.match()
        unclear = reconciliation.not_understood()
        if not unclear:
            _fill_gaps(attempt, provider, reconciliation)
    if known is not None and known.complete and _nothing_new(reconciliation, known):
        return _unchanged(known)
    return _sealed(attempt, reconciliation, unclear=unclear)


def _sealed(attempt: Attempt, reconciliation: Reconciliation, *, unclear: list[str]) -> Ended:
    folder = runs.folder(attempt.job)
    manifest_file = seal(attempt, reconciliation, folder, is_compared=not unclear)
    return ended(reconciliation, manifest_file, attempt.job, unclear)


def _owe_entries(attempt: Attempt, reconciliation: Reconciliation) -> None:
    """Owe the chain entries of recordings that a worker fetched one by one before it died."""
    for single in reconciliation.files():
        metadata = archive_paths.metadata_path(single.file.path)
        if store().exists(metadata):
            owe_entry(attempt, store().checksum(metadata), is_new=False)


def _read_parts(attempt: Attempt, reconciliation: Reconciliation) -> None:
    """Add every stored ZIP of the run, member by member."""
    for part in ledger().jobs.parts(attempt.job.job_id):
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
    asked = runs.asked(parameters)
    for number in range(_MOST_PASSES):
        reconciliation.start_pass()
        for recording in provider.every_recording(asked.filters, window=asked.window):
            attempt.check()
            if runs.in_window(parameters, recording):
                reconciliation.listed(recording.line())
        if number and reconciliation.passes_agree():
            refuse_unsettled(attempt, provider)
            return
    raise Wait("the provider's list changed with every look", attempt.next_backoff("listings"))


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
        _log.warning("what an earlier generation has archived is not known: %s", error)
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
            _log.warning("an earlier ZIP of the day is not whole: %s", error)
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


def _fill_gaps(attempt: Attempt, provider: ListsRecordings, reconciliation: Reconciliation) -> None:
    """Fetch one by one the recordings that no ZIP holds.

    A recording that the provider refuses stays missing.
    """
    timezone = account(attempt.job.account).zone
    for line in reconciliation.missing():
        attempt.check()
        attempt.lease.transfer = None
        start = datetime.fromisoformat(line["start"])
        day = runs.recording_day(attempt.job.parameters, start, timezone)
        stored = _gap(attempt, provider, line, day)
        if stored is not None:
            reconciliation.fetched(line["id"], stored)


def _gap(
    attempt: Attempt, provider: ListsRecordings, line: dict[str, Any], day: date
) -> Stored | None:
    reason = ""
    for _ in range(_TRIES):
        try:
            return keep_listed(attempt, provider, line, day)[0]
        except (BadCredentials, Contradiction):
            raise
        except Rejected as error:
            _log.warning("recording %s is not to be had: %s", line["id"], error)
            reason = str(error)
            break
        except (Damaged, Dangerous, Uncertain) as error:
            _log.warning("recording %s did not come whole: %s", line["id"], error)
            reason = str(error)
    _name_refused(attempt, reason)
    return None


def _name_refused(attempt: Attempt, reason: str) -> None:
    """Note why a recording is not in the archive, for the reason of the failed run."""
    refused = attempt.job.work.setdefault("refused", [])
    if reason not in refused and len(refused) < _MOST_NAMED:
        refused.append(reason)


def _nothing_new(reconciliation: Reconciliation, known: Manifest) -> bool:
    """Return whether a later look at a complete day found no recording that its manifest lacks."""
    before = {line.id for line in recordings_list.read(store(), known.recordings.path)}
    return all(line.id in before for line in reconciliation.lines())


def _unchanged(known: Manifest) -> Ended:
    counts = {"listed": known.listed, "archived": known.archived, "missing": known.missing}
    return Ended({"manifest": known.path, **counts})
