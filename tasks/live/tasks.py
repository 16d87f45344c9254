"""Tasks that start and stop the recordings of calls in progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from config.accounts import Account
from config.queues import DUE
from ledger.core.job import Job
from ledger.core.opening import Request
from providers import registry
from providers.accounts import NotifyingAccount
from providers.errors import WrongField
from providers.interface import CollectsRecordings, StartsRecordings, StopsRecordings
from tasks.errors import InvalidArgument
from tasks.runtime.arguments import JobArguments
from tasks.runtime.client import account_of, client_class
from tasks.runtime.context import account as any_account
from tasks.runtime.entry import job_task
from tasks.runtime.runner import Attempt, Ended, Parts

from . import collected_recordings, confirmed_recordings
from .arguments import StartRecording, StopRecording
from .results import CallRecording

#: A later start is worthless; a later stop would end a recording that was begun since.
LIFETIME_SECONDS = 60.0

#: Arguments that concern the job, not the recording.
_OF_THE_JOB = {*JobArguments.model_fields, "not_after"}

#: Checks the arguments of an action at an account; returns the parameters of the job.
Judge = Callable[[Any, Mapping[str, Any]], dict[str, Any]]


def start_request(asked: StartRecording, task_id: str) -> Request:
    """Return the request of the job that starts a recording.

    The task's id is the key if no request id is given. Raises InvalidArgument; no job was opened.
    """
    account = any_account(asked.account)
    judge = client_class(account, StartsRecordings).start_parameters
    request = Request(
        kind="recording.start",
        account=account.alias,
        request_id=asked.request_id or task_id,
        parameters=_parameters(judge, account, asked),
        queue=DUE,
        task_id=task_id,
        not_after=None if asked.not_after is None else asked.not_after.timestamp(),
        lifetime_seconds=LIFETIME_SECONDS,
    )
    if registry.has(account, CollectsRecordings):
        return collected_recordings.with_collection(
            request, account_of(account.alias, NotifyingAccount)
        )
    return request


def _parameters(judge: Judge, account: Account, asked: JobArguments) -> dict[str, Any]:
    """Return the canonical parameters.

    Raises InvalidArgument, also for an argument that the account's provider ignores.
    """
    try:
        return judge(account, asked.model_dump(exclude=_OF_THE_JOB, exclude_none=True))
    except WrongField as error:
        raise InvalidArgument(f"not done: {error}") from None


@job_task("recording.start", StartRecording, start_request, CallRecording, inline=True)
def start_recording(attempt: Attempt) -> Ended | Parts | Job:
    """Record a call in progress."""
    if registry.has(any_account(attempt.job.account), CollectsRecordings):
        return collected_recordings.start(attempt)
    return confirmed_recordings.start(attempt)


def _stop_request(asked: StopRecording, task_id: str) -> Request:
    account = any_account(asked.account)
    judge = client_class(account, StopsRecordings).stop_parameters
    return Request(
        kind="recording.stop",
        account=account.alias,
        request_id=asked.request_id or task_id,
        parameters=_parameters(judge, account, asked),
        queue=DUE,
        task_id=task_id,
        lifetime_seconds=LIFETIME_SECONDS,
    )


@job_task("recording.stop", StopRecording, _stop_request, CallRecording, inline=True)
def stop_recording(attempt: Attempt) -> Ended:
    """Stop the recording of a call in progress; the result is as for a start."""
    return confirmed_recordings.stop(attempt)
