"""Deleting an archived day at the provider: one job for all of its recordings.

The job goes through the list of the day's manifest in batches and notes every recording in its
history. Its work holds its progress, so that another worker, a retry, and the job of a later
generation continue from there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from archive.documents import manifest, recordings_list
from archive.documents.manifest import Manifest
from archive.documents.recordings_list import Line
from archive.errors import ArchiveError
from ledger.core import states
from ledger.core.job import Job
from providers.errors import BadCredentials, ProviderError, Temporary, Throttled, Uncertain
from providers.interface import DeletesRecordings
from tasks import errors
from tasks.archive_watch.chained import is_chained
from tasks.days import deletions
from tasks.runtime.client import client
from tasks.runtime.context import account, store
from tasks.runtime.error_policy import apply_error_policy, as_job_error
from tasks.runtime.runner import Attempt, Ended, Wait

from .proof import find_fault, refuse_unproven

#: Recordings that one attempt deletes before it gives its slot back.
_BATCH = 100
#: So many errors in a row come from the provider, not from the recordings.
_MOST_TROUBLES = 3


@dataclass
class Progress:
    """The progress of a job.

    ``passed`` counts the lines of the list that were dealt with. Of these, ``deleted`` were
    deleted, ``gone`` were gone at the provider, and ``before`` were deleted by earlier jobs.
    ``pending`` and ``failed`` are the ids of the others; ``first_failure`` is the first error.
    """

    passed: int = 0
    deleted: int = 0
    gone: int = 0
    before: int = 0
    pending: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    first_failure: str | None = None

    @classmethod
    def of(cls, job: Job) -> Progress:
        """Return the progress that a job's work holds."""
        return cls(**job.work.get("deletions", {}))


def delete_day(attempt: Attempt) -> Ended:
    """Delete the recordings of an archived day, each after proof that the archive holds it whole.

    Returns ``{day, listed, deleted, gone, failed, archived_as}``, with an error if a recording was
    not deleted.
    """
    nights = account(attempt.job.account).nights
    if nights is None or nights.delete_after_days == 0:
        raise errors.Rejected("not done: the account's nights no longer delete recordings")
    _await_earlier(attempt)
    known = _manifest(attempt.job)
    with (
        apply_error_policy(attempt, waits_for_credentials=False),
        client(attempt, DeletesRecordings) as provider,
    ):
        return _DayDeletion(attempt, provider, known).run()


def _await_earlier(attempt: Attempt) -> None:
    """Raise Wait while an earlier job deletes recordings of the same day."""
    for job in deletions.before(attempt.job):
        if not job.ended:
            raise Wait(
                f"waits for job {job.job_id}, which deletes recordings of this day",
                attempt.next_backoff("turns"),
            )


def _manifest(job: Job) -> Manifest:
    """Return the manifest of a job's generation. Raises Rejected if it cannot be read."""
    day, generation = job.parameters["day"], job.parameters["generation"]
    wrong = f"not done: the manifest of generation {generation} of {day} "
    try:
        known = manifest.latest(
            store(), job.account, date.fromisoformat(day), before=generation + 1
        )
    except ArchiveError as error:
        raise errors.Rejected(f"{wrong}cannot be read ({error})") from None
    if known is None or known.generation != generation:
        raise errors.Rejected(f"{wrong}is not in the archive")
    return known


def _lines(known: Manifest, start: int = 0) -> Iterator[Line]:
    """Yield the lines of a manifest's list after the first ``start``. Raises ArchiveError."""
    path = known.recordings.path
    for data in itertools.islice(recordings_list.raw_lines(store(), path), start, None):
        yield recordings_list.parse(data, path)


class _DayDeletion:
    """One attempt at a day."""

    def __init__(self, attempt: Attempt, provider: DeletesRecordings, known: Manifest) -> None:
        self._attempt = attempt
        self._provider = provider
        self._known = known
        self._is_chained = is_chained(attempt.job.account, known.path)
        self._progress = Progress.of(attempt.job)
        self._troubles = 0
        self._waits_for = ""

    def run(self) -> Ended:
        """Continue with the day. Raises Wait after a batch, and while recordings are pending."""
        progress = self._progress
        asked = progress.deleted + progress.gone + len(progress.failed) + _BATCH
        for line in self._rest():
            outcome = self._outcome(line.id, line)
            progress.passed += 1
            if outcome is None:
                progress.pending.append(line.id)
            self._note(outcome)
            if progress.deleted + progress.gone + len(progress.failed) == asked:
                listed = self._known.listed
                raise Wait(f"processed {progress.passed} of {listed} recordings", 0)
        for recording_id in tuple(progress.pending):
            outcome = self._outcome(recording_id)
            if outcome is not None:
                progress.pending.remove(recording_id)
                self._note(outcome)
        if progress.pending:
            count = len(progress.pending)
            are = "1 recording is" if count == 1 else f"{count} recordings are"
            waits = f"{are} not deleted yet: {self._waits_for}"
            raise Wait(waits, self._attempt.next_backoff("troubles"))
        return self._ended()

    def _rest(self) -> Iterator[Line]:
        try:
            yield from _lines(self._known, self._progress.passed)
        except ArchiveError as error:
            raise errors.Rejected(
                f"not done: the list of recordings is damaged ({error})"
            ) from None

    def _outcome(self, recording_id: str, line: Line | None = None) -> str | None:
        """Delete one recording, and return the line of the job's history about it.

        The line is empty if an earlier job has deleted the recording, and None if it is pending.
        """
        self._attempt.check()
        older = deletions.of_recording(
            self._attempt.job.account, self._attempt.job.parameters["day"], recording_id
        )
        if older is not None and not older.ended:
            self._waits_for = f"job {older.job_id} is deleting recording {recording_id}"
            return None
        is_done = older is not None and older.state == states.DONE
        if is_done or recording_id in self._deleted_before:
            self._progress.before += 1
            return ""
        try:
            return self._deleted(recording_id, line)
        except (Throttled, BadCredentials):
            raise
        except (Temporary, Uncertain) as error:
            return self._troubled(recording_id, error)
        except ProviderError as error:
            self._troubles = 0
            return self._failed(recording_id, as_job_error(error))
        except errors.Rejected as error:
            return self._failed(recording_id, error)

    def _deleted(self, recording_id: str, line: Line | None) -> str:
        proof = self._proof(recording_id, line)
        was_there = self._provider.delete(recording_id)
        self._troubles = 0
        self._attempt.job.work.pop("troubles", None)
        if was_there:
            self._progress.deleted += 1
            return f"recording {recording_id} was deleted; archived as {proof}"
        self._progress.gone += 1
        return f"recording {recording_id} was already gone at the provider; archived as {proof}"

    def _proof(self, recording_id: str, line: Line | None) -> str:
        """Return the path of the manifest or the metadata that proves a recording.

        Raises Rejected if there is none.
        """
        try:
            if self._is_chained and line is not None and find_fault(self._attempt, line) is None:
                return self._known.path
        except (ArchiveError, KeyError):
            pass  # another generation, or a file of its own, may hold it
        return refuse_unproven(self._attempt, self._provider, recording_id)

    def _troubled(self, recording_id: str, error: ProviderError) -> str | None:
        self._troubles += 1
        if self._troubles == _MOST_TROUBLES:
            raise error
        if self._attempt.past_deadline:
            return self._failed(recording_id, as_job_error(error))
        self._waits_for = str(error)
        return None

    def _failed(self, recording_id: str, error: errors.JobError) -> str:
        self._progress.failed.append(recording_id)
        self._progress.first_failure = self._progress.first_failure or str(error)
        return f"recording {recording_id} was not deleted: {error}"

    def _note(self, outcome: str | None) -> None:
        self._attempt.job.work["deletions"] = asdict(self._progress)
        if outcome:
            self._attempt.record(outcome)

    @cached_property
    def _deleted_before(self) -> set[str]:
        """The ids of the recordings that earlier jobs have deleted."""
        found: set[str] = set()
        for job in deletions.before(self._attempt.job):
            progress = Progress.of(job)
            others = {*progress.failed, *progress.pending}
            try:
                lines = itertools.islice(_lines(_manifest(job)), progress.passed)
                found.update(line.id for line in lines if line.id not in others)
            except (ArchiveError, errors.Rejected):
                continue  # what it deleted is asked again, and is gone
        return found

    def _ended(self) -> Ended:
        progress, day = self._progress, self._attempt.job.parameters["day"]
        result: dict[str, Any] = {
            "day": day,
            "listed": progress.passed,
            "deleted": progress.deleted,
            "gone": progress.gone,
            "failed": len(progress.failed),
            "archived_as": self._known.path,
        }
        if not progress.failed:
            return Ended(result)
        failed, passed = len(progress.failed), progress.passed
        were = "was" if 1 in (failed, passed) else "were"
        failure = errors.Rejected(
            f"not done: {failed} of {passed} recording{'s' * (passed != 1)} of {day} {were} not "
            f"deleted; first failure: {progress.first_failure}; the job's history lists all"
        )
        return Ended(result, failure)
