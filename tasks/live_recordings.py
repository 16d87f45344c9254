"""Recordings of live calls: started."""

from __future__ import annotations

from typing import Literal

from config.queues import DUE
from ledger.requests import Request

from . import ozeki_recordings
from .arguments import Instant, JobArguments, Text
from .attempt import Attempt, Ended
from .front_door import job_task
from .ozeki import ozeki_account


class StartRecording(JobArguments):
    """``earwitness.recording.start``."""

    call_id: Text
    format: Literal["mp3", "wav"] | None = None
    not_after: Instant | None = None
    view_id: Text | None = None
    extension: Text = "@self"
    user_id: Text = "@me"
    finished_url: str | None = None
    announcement: str | None = None
    max_seconds: int | None = None
    silence_seconds: int | None = None
    finish_digits: str | None = None
    hang_up_after_seconds: int | None = None


def _request(asked: StartRecording, task_id: str) -> Request:
    account = ozeki_account(asked.account)
    request = Request(
        kind="recording.start",
        account=account.alias,
        request_id=asked.request_id or task_id,
        parameters=ozeki_recordings.request_parameters(asked, account),
        queue=DUE,
        task_id=task_id,
        not_after=None if asked.not_after is None else asked.not_after.timestamp(),
        lifetime_seconds=60.0,
    )
    return ozeki_recordings.opened_with(request, account)


@job_task("recording.start", StartRecording, _request, at_once=True)
def start_recording(attempt: Attempt) -> Ended:
    """Record a call that is going on."""
    return ozeki_recordings.start(attempt)
