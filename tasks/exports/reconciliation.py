"""Reconciling a run: what the provider lists against what lies in the archive, gaps fetched singly.

Everything up to ``recordings.jsonl`` may be done again by another worker; from there on the bytes
follow from what is stored, so that whoever completes late writes the same ones.
"""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import Any

from archive import paths as archive_paths
from archive.audio.detection import Listener, hear
from archive.documents import manifest
from archive.errors import Contradiction, Damaged, Dangerous, Missing
from archive.reconciliation import Reconciliation
from archive.store.directory import Stored
from archive.zip import verification
from ledger.core import states
from providers.errors import BadCredentials, Rejected, Uncertain
from providers.interface import ListsRecordings
from tasks.runtime.client import client
from tasks.runtime.context import account, ledger, spool, store, zip_limits
from tasks.runtime.error_policy import consequences
from tasks.runtime.runner import Attempt, Ended, Wait
from tasks.transfers.single_recording import keep_listed

from . import runs
from .finalize import seal
from .preview import refuse_unsettled

_log = logging.getLogger(__name__)

#: A listing that changes with every pass is looked at again later.
_MOST_PASSES = 5
#: How often one recording that came damaged or not at all is asked for in one attempt.
_TRIES = 3
#: How many refused recordings the reason of a run's end names.
_MOST_NAMED = 3
#: Where a recording lies, as a line of recordings.jsonl tells it.
_PLACE = ("path", "member", "bytes", "sha256", "audio")


def reconcile(attempt: Attempt) -> Ended:
    """The run's end: ``{manifest, listed, archived, missing}``; failed where one is missing."""
    attempt.job.work.pop("refused", None)
    scratch = spool().scratch(f"reconciliation-{attempt.job.job_id}")
    try:
        with (
            consequences(attempt, waits_for_credentials=True),
            Reconciliation(scratch) as reconciliation,
        ):
            path = archive_paths.recordings_path(runs.folder(attempt.job))
            if store().exists(path):
                # A worker died between this file and its manifest: what it wrote stands.
                _read_parts(attempt, reconciliation)
                reconciliation.adopt(manifest.lines_of(store(), path))
                _earlier(attempt, reconciliation)
                return seal(attempt, reconciliation, unclear=[])
            return _look_and_seal(attempt, reconciliation)
    finally:
        scratch.unlink(missing_ok=True)


def _look_and_seal(attempt: Attempt, reconciliation: Reconciliation) -> Ended:
    with client(attempt, ListsRecordings) as provider:
        _list(attempt, provider, reconciliation)
        _read_parts(attempt, reconciliation)
        known = _earlier(attempt, reconciliation)
        reconciliation.match()
        unclear = reconciliation.not_understood()
        if not unclear:
            _fill_gaps(attempt, provider, reconciliation)
    if known is not None and known["complete"] and _nothing_new(reconciliation, known):
        return _unchanged(known)
    return seal(attempt, reconciliation, unclear=unclear)


def _read_parts(attempt: Attempt, reconciliation: Reconciliation) -> None:
    """Read every stored ZIP of the run back, member by member."""
    for part in ledger().jobs.parts(attempt.job.job_id):
        if part.state != states.DONE or part.result is None:
            continue
        found = part.result
        stored = Stored(found["path"], found["bytes"], found["sha256"])
        reconciliation.part(found["provider_job_id"], stored)
        _read_zip(attempt, reconciliation, found["provider_job_id"], stored.path)


def _read_zip(
    attempt: Attempt, reconciliation: Reconciliation, provider_job_id: str, path: str
) -> None:
    # A member of a size that was listed is whole; of others every frame has to be looked at.
    whole = not reconciliation.lists_every_size()
    with store().open(path) as file:
        for member in verification.members(
            file,
            zip_limits(),
            path=path,
            on_bytes=lambda _: attempt.check(),
            listener=lambda: Listener(whole=whole),
        ):
            reconciliation.member(provider_job_id, member)


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
    raise Wait("the provider's list changed with every look", attempt.patience("listings"))


def _earlier(attempt: Attempt, reconciliation: Reconciliation) -> dict[str, Any] | None:
    """What earlier generations of the day have archived already, and the newest one's manifest; it
    speaks for no complete day any more where a file that it names is gone or is no audio.
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
        # The list of what that generation archived is gone: what it lists is fetched once more.
        _log.warning("what an earlier generation has archived is not known: %s", error)
        return None
    return {**known, "complete": known["complete"] and there.is_whole and are_audio}


def _take_over(
    attempt: Attempt,
    reconciliation: Reconciliation,
    known: dict[str, Any],
    there: runs.Presence,
) -> bool:
    """Take over the recordings that an earlier generation archived and that are there; return
    whether each of these is audio. Raises Missing where that generation's list is gone.
    """
    are_audio = True
    unheard = _unheard(attempt, reconciliation, known, there)
    for line in manifest.lines(store(), known):
        if line.get("missing") or not there.holds(line["path"]):
            continue
        place: dict[str, Any] = {key: line[key] for key in _PLACE if key in line}
        if "audio" not in line:
            place["audio"] = _heard(reconciliation, line, unheard)
        if place["audio"] is None:
            are_audio = False
        else:
            reconciliation.earlier(line["id"], place)
    return are_audio


def _unheard(
    attempt: Attempt,
    reconciliation: Reconciliation,
    known: dict[str, Any],
    there: runs.Presence,
) -> set[str]:
    """The ZIPs of recordings whose bytes no release has listened to yet: read anew, so that a
    recording whose place is none is looked for in them again. Those that cannot be read are absent.
    """
    found: set[str] = set()
    paths = {
        line["path"]: None
        for line in manifest.lines(store(), known)
        if "member" in line and "audio" not in line and there.holds(line["path"])
    }
    for path in paths:
        reconciliation.part(path, store().checksum(path, lambda _: attempt.check()), own=False)
        try:
            _read_zip(attempt, reconciliation, path, path)
            found.add(path)
        except (Damaged, Dangerous) as error:
            _log.warning("an earlier ZIP of the day is not whole: %s", error)
    return found


def _heard(reconciliation: Reconciliation, line: dict[str, Any], zips_read: set[str]) -> str | None:
    """The format of a recording in the archive by its bytes; None where it is no audio."""
    if "member" in line:
        if line["path"] not in zips_read:
            return None
        return reconciliation.heard(line["path"], line["member"], line["sha256"])
    with store().open(line["path"]) as file:
        sound = hear(file, whole=False)
    return None if sound is None else sound.format


def _fill_gaps(attempt: Attempt, provider: ListsRecordings, reconciliation: Reconciliation) -> None:
    """Fetch one by one what no ZIP holds. What the provider will not give stays missing."""
    timezone = account(attempt.job.account).zone
    for line in list(reconciliation.missing()):
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
    """Remember why a recording is not in the archive, for the reason of the run's end."""
    refused = attempt.job.work.setdefault("refused", [])
    if reason not in refused and len(refused) < _MOST_NAMED:
        refused.append(reason)


def _nothing_new(reconciliation: Reconciliation, known: dict[str, Any]) -> bool:
    """Whether a later look at a complete day found no recording that its manifest lacks."""
    before = {line["id"] for line in manifest.lines(store(), known)}
    return all(line["id"] in before for line in reconciliation.lines())


def _unchanged(known: dict[str, Any]) -> Ended:
    counts = {key: known[key] for key in ("listed", "archived", "missing")}
    return Ended({"manifest": known["path"], **counts})
