"""Tasks about recordings that a provider keeps: list, get, download, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archive.errors import Contradiction, Damaged
from config.queues import DOWNLOADS, DUE
from ledger.core.opening import Request
from providers.accounts import DeletingAccount, RecordingsAccount
from providers.interface import DeletesRecordings, ListsRecordings, Page, Recording
from tasks import errors
from tasks.days import deletions, windows
from tasks.runtime.client import account_of, client, plain_client
from tasks.runtime.entry import ShortLived, job_task, plain_task
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.job_requests import job_request
from tasks.runtime.queries import Answer, Listing, ask_with_retries
from tasks.runtime.runner import Attempt, Ended
from tasks.transfers.results import StoredFile
from tasks.transfers.single_recording import fetch_again, keep_listed, start_of

from .arguments import DeleteRecording, DownloadRecording, GetRecording, ListRecordings
from .day_deletions import delete_day
from .proof import refuse_unproven
from .results import DeletedRecording, ListedRecording, RecordingPage


@plain_task("recording.list", ListRecordings, RecordingPage, ShortLived)
def list_recordings(asked: ListRecordings) -> Listing:
    """List one page of the recordings that the provider has."""
    page = page_of_recordings(asked)
    return Listing(page.result(), len(page.recordings), "recording")


@plain_task("recording.get", GetRecording, ListedRecording, ShortLived)
def get_recording(asked: GetRecording) -> Listing:
    """Return one recording with every field of the provider."""
    return Listing(one_recording(asked).line(), 1, "recording")


def page_of_recordings(asked: ListRecordings) -> Page:
    """Return a page of the provider's list. Raises what callers see after the third try."""
    return _ask(
        asked.account,
        lambda provider: provider.recordings(
            asked.filters.canonical(),
            page=asked.page,
            page_size=asked.page_size,
            order=asked.order,
        ),
    )


def one_recording(asked: GetRecording) -> Recording:
    """Return a recording as the provider lists it. Raises what callers see after the third try."""
    return _ask(asked.account, lambda provider: provider.recording(asked.recording_id))


def _ask(alias: str, ask: Callable[[ListsRecordings], Answer]) -> Answer:
    def one() -> Answer:
        with plain_client(alias, ListsRecordings) as provider:
            return ask(provider)

    return ask_with_retries(alias, one)


def _download_request(asked: DownloadRecording, task_id: str) -> Request:
    parameters = {"recording_id": asked.recording_id}
    account_of(asked.account, RecordingsAccount)
    return job_request("recording.download", asked, task_id, parameters, queue=DOWNLOADS)


@job_task("recording.download", DownloadRecording, _download_request, StoredFile)
def download_recording(attempt: Attempt) -> Ended:
    """Fetch one recording into the archive."""
    account = account_of(attempt.job.account, RecordingsAccount)
    with (
        apply_error_policy(attempt, waits_for_credentials=False),
        client(attempt, ListsRecordings) as provider,
    ):
        recording = provider.recording(attempt.job.parameters["recording_id"])
        day = windows.local_day(start_of(recording), account.zone)
        try:
            audio, _ = keep_listed(attempt, provider, recording.line(), day)
        except Contradiction:
            raise
        except Damaged as error:
            fetch_again(attempt, error)
            raise
    result = {"path": audio.path, "sha256": audio.sha256, "bytes": audio.bytes}
    return Ended(result)


def _delete_request(asked: DeleteRecording, task_id: str) -> Request:
    account = account_of(asked.account, DeletingAccount)
    if not account.allow_delete:
        raise errors.InvalidArgument(
            f"not done: account: {asked.account!r} does not allow deletion; set allow_delete = true"
        )
    parameters: dict[str, Any] = {"recording_id": asked.recording_id}
    if asked.unarchived:
        parameters.update(unarchived=True, reason=asked.reason)
    return job_request("recording.delete", asked, task_id, parameters, queue=DUE)


@job_task("recording.delete", DeleteRecording, _delete_request, DeletedRecording)
def delete_recording(attempt: Attempt) -> Ended:
    """Delete one recording at the provider, after proof that the archive holds it whole.

    A job that the nightly plan opened deletes all recordings of an archived day.
    """
    parameters = attempt.job.parameters
    account = account_of(attempt.job.account, DeletingAccount)
    if not account.allow_delete:
        raise errors.Rejected("not done: the account no longer allows deletion")
    if deletions.is_of_day(attempt.job):
        return delete_day(attempt)
    recording_id = parameters["recording_id"]
    with (
        apply_error_policy(attempt, waits_for_credentials=False),
        client(attempt, DeletesRecordings) as provider,
    ):
        proof = None
        if not parameters.get("unarchived"):
            proof = refuse_unproven(attempt, provider, recording_id)
        was_there = provider.delete(recording_id)
    return Ended({"recording_id": recording_id, "deleted": was_there, "archived_as": proof})
