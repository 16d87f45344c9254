"""Recordings of calls that are going on: begun and ended, each provider in its own way."""

from __future__ import annotations

from typing import Any, Protocol

from config.accounts import Account
from config.queues import DUE
from ledger.core.job import Job
from ledger.core.opening import Request
from providers.ozeki.account import OzekiAccount
from providers.voipnow.account import VoipnowAccount
from tasks.errors import InvalidArgument
from tasks.runtime.arguments import StartRecording, StopRecording
from tasks.runtime.context import account as account_of
from tasks.runtime.context import voipnow_account
from tasks.runtime.entry import job_task
from tasks.runtime.runner import Attempt, Ended, Parts

from . import collected_recordings, confirmed_recordings

#: A start that comes later is worthless; a stop would end a recording that was begun since.
LIFETIME_SECONDS = 60.0


class Starter(Protocol):
    """A provider's module that starts recordings."""

    def request_parameters(self, asked: StartRecording, account: Any) -> dict[str, Any]:
        """The canonical parameters. Raises InvalidArgument, also for an argument that the account
        ignores.
        """

    def start(self, attempt: Attempt) -> Ended | Parts | Job:
        """Start the recording that the job's parameters describe."""


STARTERS: dict[type[Account], Starter] = {
    OzekiAccount: collected_recordings,
    VoipnowAccount: confirmed_recordings,
}


def start_request(asked: StartRecording, task_id: str) -> Request:
    """The request of the job that starts a recording; the task's id is the key where none is given.

    Raises InvalidArgument: nothing was opened.
    """
    account = account_of(asked.account)
    request = Request(
        kind="recording.start",
        account=account.alias,
        request_id=asked.request_id or task_id,
        parameters=_starter(account).request_parameters(asked, account),
        queue=DUE,
        task_id=task_id,
        not_after=None if asked.not_after is None else asked.not_after.timestamp(),
        lifetime_seconds=LIFETIME_SECONDS,
    )
    if isinstance(account, OzekiAccount):
        return collected_recordings.opened_with(request, account)
    return request


def _starter(account: Account) -> Starter:
    found = STARTERS.get(type(account))
    if found is None:
        raise InvalidArgument(
            f"not done: account: {account.alias!r} is a {account.provider} account; no live call "
            "can be recorded there"
        )
    return found


@job_task("recording.start", StartRecording, start_request, at_once=True)
def start_recording(attempt: Attempt) -> Ended | Parts | Job:
    """Record a call that is going on: ``{job_id, call_id, view_id?, format, recording_since?,
    collected}``.
    """
    return _starter(account_of(attempt.job.account)).start(attempt)


def _stop_request(asked: StopRecording, task_id: str) -> Request:
    account = voipnow_account(asked.account)
    return Request(
        kind="recording.stop",
        account=account.alias,
        request_id=asked.request_id or task_id,
        parameters=confirmed_recordings.request_parameters(asked, account),
        queue=DUE,
        task_id=task_id,
        lifetime_seconds=LIFETIME_SECONDS,
    )


@job_task("recording.stop", StopRecording, _stop_request, at_once=True)
def stop_recording(attempt: Attempt) -> Ended:
    """End the recording of a call that is going on (VoipNow): the same result as a start's."""
    return confirmed_recordings.stop(attempt)
