"""Recordings of live calls on a VoipNow server: confirmed, or reported as not confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from config.accounts import VoipnowAccount
from providers import errors as provider
from providers.voipnow import fields
from providers.voipnow.recording import Recorder, Recording, Unconfirmed
from tasks import errors
from tasks.runtime.arguments import StartRecording, StopRecording
from tasks.runtime.context import voipnow_account
from tasks.runtime.error_policy import public, throttled
from tasks.runtime.not_after import Deadline
from tasks.runtime.rate_limit import take_turn
from tasks.runtime.runner import Attempt, Ended

from .voipnow_client import client

#: What a start takes at other providers.
_IGNORED = (
    "announcement",
    "max_seconds",
    "silence_seconds",
    "finish_digits",
    "hang_up_after_seconds",
    "finished_url",
)
#: A call may end at any moment: trouble is tried again sooner than where nothing runs away.
_LONGEST_PAUSE_SECONDS = 5.0
#: How often one job asks a server to start or stop, whatever becomes of the answers.
_MOST_SENT = 6


def request_parameters(
    asked: StartRecording | StopRecording, account: VoipnowAccount
) -> dict[str, Any]:
    """The canonical parameters, defaults filled in. Raises InvalidArgument for a wrong value, and
    for an argument that the provider ignores.
    """
    for name in _IGNORED:
        if getattr(asked, name, None) is not None:
            raise errors.InvalidArgument(
                f"not done: {name}: account {account.alias!r} is at voipnow, which ignores it; "
                "leave it out"
            )
    parameters: dict[str, Any] = {
        "call_id": asked.call_id,
        "extension": asked.extension or "@self",
        "user_id": asked.user_id or "@me",
    }
    if asked.view_id is not None:
        parameters["view_id"] = asked.view_id
    if isinstance(asked, StartRecording):
        parameters["format"] = asked.format or "wav"
    try:
        fields.check(**parameters)
    except fields.WrongField as error:
        raise errors.InvalidArgument(f"not done: {error}") from None
    return parameters


def start(attempt: Attempt) -> Ended:
    """Record a view of a live call until the answer or the list of calls shows that it runs."""
    asked = attempt.job.parameters
    recording = _Round(attempt).carried_out(lambda recorder: recorder.start(**asked))
    return _ended(attempt, recording)


def stop(attempt: Attempt) -> Ended:
    """End the recording of a view of a live call until it is shown to have ended."""
    asked = attempt.job.parameters
    recording = _Round(attempt).carried_out(lambda recorder: recorder.stop(**asked))
    return _ended(attempt, recording)


def _ended(attempt: Attempt, recording: Recording) -> Ended:
    return Ended(
        {
            "call_id": attempt.job.parameters["call_id"],
            "view_id": recording.view_id,
            "format": attempt.job.parameters.get("format"),
            "recording_since": recording.since,
            "collected": False,
            "not_collected_because": "VoipNow offers no way to fetch a file",
        }
    )


class _Round:
    """One attempt's requests. Whether one of the job's may have been carried out unseen is noted
    before it leaves, so that no end of the job says less than is known.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._account = voipnow_account(attempt.job.account)
        self._deadline = Deadline(attempt)
        self._unknown_before = bool(attempt.job.work.get("may_have_left"))
        self._acts_next = False
        self._actions = 0
        attempt.calls_last(self._account.timeout_seconds)

    def carried_out(self, act: Callable[[Recorder], Recording]) -> Recording:
        """The recording as it is sure to be. Raises Wait where it is tried again until
        ``not_after``, and what callers see where it is not.
        """
        if not self._unknown_before:
            self._deadline.refuse_late()
        try:
            with client(self._account, self._before_call) as voipnow:
                return act(
                    Recorder(
                        voipnow,
                        before_action=self._before_action,
                        looks_first=self._unknown_before,
                    )
                )
        except provider.ProviderError as error:
            raise self._meaning(error) from None

    def _meaning(self, error: provider.ProviderError) -> Exception:
        if isinstance(error, Unconfirmed):
            return public(error)
        if not isinstance(error, provider.Uncertain):
            # The answer to the only request of this round says that it was not carried out.
            unknown = self._unknown_before or self._actions > 1
            self._attempt.job.work["may_have_left"] = unknown
            if isinstance(error, provider.Rejected):
                return self._unknown(str(error)) if unknown else public(error)
        if isinstance(error, provider.Throttled):
            seconds = throttled(self._account.alias, error)
            return self._again(f"the provider asked to wait: {error}", seconds)
        seconds = min(self._attempt.patience("troubles"), _LONGEST_PAUSE_SECONDS)
        return self._again(str(error), seconds)

    def _before_action(self) -> None:
        self._acts_next = True

    def _before_call(self) -> None:
        if self._actions:
            # What has left is followed to its end, which is seconds away: a worker that stops
            # waits for it, and a cancellation comes too late.
            self._attempt.lease.check()
            self._attempt.lease.progress(self._attempt.quiet_seconds)
        else:
            self._attempt.check()
        take_turn(self._account, self._again)
        if self._acts_next:
            self._acts_next = False
            if self._deadline.passed:
                raise self._late("its time came while the call was looked up")
            sent = int(self._attempt.job.work.get("sent", 0))
            if sent >= _MOST_SENT:
                raise self._unknown(f"it was sent {sent} times, and no answer tells what it did")
            self._attempt.note(may_have_left=True, sent=sent + 1)
            self._actions += 1

    def _again(self, reason: str, seconds: float) -> Exception:
        if self._deadline.passed:
            return self._late(reason)
        return self._deadline.wait(reason, seconds)

    def _late(self, reason: str) -> errors.JobError:
        if self._attempt.job.work.get("may_have_left"):
            return self._unknown(
                f"not_after has passed; last: {self._attempt.job.reason or reason}"
            )
        return errors.Expired(
            f"not done: not_after has passed and nothing was sent; last: {reason}"
        )

    @staticmethod
    def _unknown(reason: str) -> errors.Uncertain:
        return errors.Uncertain(
            f"unknown: an earlier request may have been carried out; {reason}; list the calls to "
            "see whether the view is being recorded"
        )
