"""Recordings that a server confirms: the job ends when they surely run, or says that they do not.

The file of such a recording stays at the provider.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from providers import errors as provider
from providers.interface import LiveRecording, StartsRecordings, StopsRecordings
from tasks import errors
from tasks.runtime.client import Client, open_client
from tasks.runtime.context import account as account_of
from tasks.runtime.error_policy import as_job_error, rest_account
from tasks.runtime.not_after import Deadline
from tasks.runtime.rate_limit import take_turn
from tasks.runtime.runner import Attempt, Ended

#: A call may end at any moment: a failed try is repeated sooner than elsewhere.
_LONGEST_PAUSE_SECONDS = 5.0
#: How often one job asks a server to start or stop, regardless of the answers.
_MOST_SENT = 6


def start(attempt: Attempt) -> Ended:
    """Record a live call, and end once the server shows that the recording runs."""
    requests = _ServerRequests(attempt)
    with requests.open_client(StartsRecordings) as client:
        recording = client.start_recording(
            attempt.job.parameters,
            before_action=requests.before_action,
            looks_first=requests.unknown_before,
        )
        return _ended(attempt, recording, client.not_collected_because)


def stop(attempt: Attempt) -> Ended:
    """Stop the recording of a live call, and end once the server shows that it has ended."""
    requests = _ServerRequests(attempt)
    with requests.open_client(StopsRecordings) as client:
        recording = client.stop_recording(
            attempt.job.parameters,
            before_action=requests.before_action,
            looks_first=requests.unknown_before,
        )
        return _ended(attempt, recording, client.not_collected_because)


def _ended(attempt: Attempt, recording: LiveRecording, why_not_collected: str) -> Ended:
    return Ended(
        {
            "call_id": attempt.job.parameters["call_id"],
            "view_id": recording.view_id,
            "format": attempt.job.parameters.get("format"),
            "recording_since": recording.since,
            "collected": False,
            "not_collected_because": why_not_collected,
        }
    )


class _ServerRequests:
    """The requests of one attempt.

    Before a request leaves, the job notes that the server may carry it out unseen, so that the end
    of the job says no less than is known.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._account = account_of(attempt.job.account)
        self._deadline = Deadline(attempt)
        self.unknown_before = bool(attempt.job.work.get("may_have_left"))
        self._acts_next = False
        self._actions = 0
        attempt.expect_silence(self._account.timeout_seconds)

    @contextmanager
    def open_client(self, capability: type[Client]) -> Iterator[Client]:
        """Open a client that starts or stops a recording until the effect is sure.

        Raises Wait while the job may try again until ``not_after``, otherwise an error that callers
        see.
        """
        if not self.unknown_before:
            self._deadline.refuse_late()
        try:
            with open_client(self._account, capability, self._before_call) as client:
                yield client
        except provider.ProviderError as error:
            raise self._job_error(error) from None

    def _job_error(self, error: provider.ProviderError) -> Exception:
        if isinstance(error, provider.Unconfirmed):
            return as_job_error(error)
        if not isinstance(error, provider.Uncertain):
            # The answer to the only request of this attempt says that it was not carried out.
            unknown = self.unknown_before or self._actions > 1
            self._attempt.job.work["may_have_left"] = unknown
            if isinstance(error, provider.Rejected):
                return self._unknown(str(error)) if unknown else as_job_error(error)
        if isinstance(error, provider.Throttled):
            seconds = rest_account(self._account.alias, error)
            return self._again(f"the provider asked to wait: {error}", seconds)
        seconds = min(self._attempt.next_backoff("troubles"), _LONGEST_PAUSE_SECONDS)
        return self._again(str(error), seconds)

    def before_action(self) -> None:
        """Note that the next call starts or stops something."""
        self._acts_next = True

    def _before_call(self) -> None:
        if self._actions:
            # A request that has left is followed to its end, which is seconds away: a worker that
            # is stopping waits for it, and a cancellation comes too late.
            self._attempt.lease.check()
            self._attempt.lease.progress(self._attempt.quiet_seconds)
        else:
            self._attempt.check()
        take_turn(self._account, self._again)
        if self._acts_next:
            self._acts_next = False
            if self._deadline.passed:
                raise self._late("it passed while the call was being looked up")
            sent = int(self._attempt.job.work.get("sent", 0))
            if sent >= _MOST_SENT:
                raise self._unknown(
                    f"the request was sent {sent} times, and no answer shows its effect"
                )
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
