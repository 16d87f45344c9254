"""Collecting a recording that has ended: its file goes into the archive, or the job fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from archive.errors import Contradiction, Damaged
from config.error_names import ErrorName
from config.masking import mask_foreign
from config.queues import DOWNLOADS, DUE
from config.settings import settings
from ledger import recording_instructions as recorded
from ledger.core import states
from ledger.core.job import Job, iso
from ledger.core.opening import Request
from ledger.recording_instructions import Instruction
from providers.accounts import NotifyingAccount
from providers.errors import NotFound, ProviderError
from providers.interface import CollectsRecordings, LiveCall
from tasks import errors
from tasks.runtime.arguments import JobArguments
from tasks.runtime.client import account_of, client
from tasks.runtime.context import ledger
from tasks.runtime.entry import job_task
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.fields import Text
from tasks.runtime.kinds import Opening
from tasks.runtime.runner import Attempt, Ended, Wait
from tasks.transfers.results import StoredFile
from tasks.transfers.single_recording import SingleRecording, fetch_again, keep

KIND = "recording.collect"

#: How many seconds after its call is last listed the end of a recording may still be notified.
_MISSING_SECONDS = 600.0
#: A server may announce a file a moment before the file can be fetched.
_MOST_ABSENT = 5
_WAITS = "waits until the telephone system reports the end of the recording"


class CollectRecording(JobArguments):
    """``earwitness.recording.collect``: the caller joins the collection that a start opened."""

    call_id: Text


def collection(alias: str, start_job_id: str, call_id: str) -> Request:
    """Return the request of a collection, opened beside the start with this job id."""
    return Request(
        kind=KIND,
        account=alias,
        # No caller can use this id, and no person mistakes it for the start's own id.
        request_id=f"{start_job_id}/recording",
        parameters={"call_id": call_id, "start_job_id": start_job_id},
        queue=DUE,
        waits_seconds=settings().poll_first_seconds,
        reason=_WAITS,
    )


def _joined(asked: CollectRecording, _task_id: str) -> Opening:
    account_of(asked.account, NotifyingAccount)
    instruction = ledger().recording_instructions.newest(asked.account, asked.call_id)
    if instruction is None or instruction.collect_job_id is None:
        shown = mask_foreign(asked.call_id)
        raise errors.InvalidArgument(
            f"not done: call_id: no recording of call {shown} is collected for "
            f"account {asked.account!r}; a collection is opened by recording.start"
        )
    job = ledger().jobs.job(instruction.collect_job_id)
    return lambda *, timed: (job, None)  # noqa: ARG005 - it was opened with its start


@job_task(KIND, CollectRecording, _joined, StoredFile)
def collect_recording(attempt: Attempt) -> Ended:
    """Fetch a finished recording into the archive."""
    instruction = _instruction(attempt)
    if instruction.record_url is None:
        _look(attempt, instruction)
        # The notification may have come while the server was asked.
        instruction = _instruction(attempt)
    if instruction.record_url is None:
        raise Wait(attempt.job.work["why"], attempt.next_backoff("looks"), progressed=False)
    if attempt.job.queue != DOWNLOADS:
        raise Wait("the recording has ended and is downloaded", 0, queue=DOWNLOADS)
    return _collected(attempt, instruction, instruction.record_url)


def is_live(calls: list[LiveCall], call_id: str) -> bool:
    """Return whether the call is among these; a call whose id could not be read may be any call."""
    return any(call.call_id in (call_id, None) for call in calls)


def _instruction(attempt: Attempt) -> Instruction:
    start_job_id = attempt.job.parameters["start_job_id"]
    found = ledger().recording_instructions.of_job(start_job_id)
    assert found is not None, "a collection and its instruction are opened in one transaction"
    return found


def _look(attempt: Attempt, instruction: Instruction) -> None:
    """Check whether the notification of the end may still come; note ``why`` the job waits for it.

    Raises Rejected if nothing was started, NotReady if the notification is overdue.
    """
    start = ledger().jobs.job(instruction.job_id)
    if _never_began(start, instruction):
        raise errors.Rejected(f"not done: the recording was not started: {start.reason}")
    hours = account_of(attempt.job.account, NotifyingAccount).collect_deadline_hours
    if attempt.age_seconds > hours * 3600:
        raise errors.NotReady(
            "not done: the end of the recording was not reported within "
            f"{hours:g} hour{'s' * (hours != 1)} (collect_deadline_hours); download the recording "
            "by hand"
        )
    try:
        with client(attempt, CollectsRecordings) as server:
            live = is_live(server.calls(), instruction.call_id)
    except ProviderError as error:
        attempt.job.work["why"] = f"{_WAITS}; cannot tell whether the call is in progress: {error}"
        return
    gone = ledger().recording_instructions.call_seen(instruction.token, live=live)
    attempt.job.work["why"] = _WAITS if live else f"{_WAITS}; the call has ended"
    if gone is not None and gone >= _MISSING_SECONDS:
        raise errors.NotReady(
            "not done: the end of the recording was not reported within ten minutes of the call's "
            "end; check that the server reaches EARWITNESS_HOOKS_URL, and download the recording "
            "by hand"
        )


def _never_began(start: Job, instruction: Instruction) -> bool:
    """Return whether the start has ended and the server was surely never asked to record."""
    if instruction.state != recorded.ARMED or not start.ended:
        return False
    if start.state == states.CANCELLED:
        return not start.work.get("asked")
    return start.error is not None and start.error["type"] != ErrorName.UNCERTAIN


def _collected(attempt: Attempt, instruction: Instruction, url: str) -> Ended:
    single = SingleRecording(
        provider=account_of(attempt.job.account, NotifyingAccount).provider,
        recording_id=attempt.job.job_id,
        # Taken from the ledger's row only, so that every try finds the same place.
        day=datetime.fromtimestamp(instruction.created_at, UTC).date(),
        fields=_fields(instruction, url),
    )
    with (
        apply_error_policy(attempt, waits_for_credentials=False),
        client(attempt, CollectsRecordings) as server,
    ):
        try:
            audio, _ = keep(
                attempt,
                single,
                lambda etag, offset: server.collected(url, etag=etag, offset=offset),
            )
        except NotFound as error:
            _ask_again(attempt, error)
            raise
        except Contradiction:
            raise
        except Damaged as error:
            fetch_again(attempt, error)
            raise
    result = {"path": audio.path, "sha256": audio.sha256, "bytes": audio.bytes}
    return Ended(result)


def _fields(instruction: Instruction, url: str) -> dict[str, Any]:
    """Return the known fields of the recording.

    Of its address only the file's name is kept, since a query may hold a key.
    """
    return {
        "call_id": instruction.call_id,
        "start": iso(instruction.answered_at),
        "end": iso(instruction.completed_at),
        "control": instruction.control,
        "file_name": unquote(urlsplit(url).path.rpartition("/")[2]),
    }


def _ask_again(attempt: Attempt, error: NotFound) -> None:
    times = int(attempt.job.work.get("absent", 0)) + 1
    attempt.job.work["absent"] = times
    if times < _MOST_ABSENT:
        raise Wait(f"{error}; will ask again", attempt.next_backoff("fetches")) from None
