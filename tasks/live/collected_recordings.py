"""Recordings that are collected: the server notifies us of their end.

A request starts them, or a document in the answer to a notification.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from config.settings import settings
from ledger import recording_instructions as recorded
from ledger.core.job import iso
from ledger.core.opening import Request
from ledger.recording_instructions import Instruction, ToRecord
from providers import errors as provider
from providers.accounts import NotifyingAccount
from providers.interface import CollectsRecordings, LiveCall
from tasks import errors
from tasks.runtime.client import client
from tasks.runtime.context import ledger
from tasks.runtime.error_policy import as_job_error
from tasks.runtime.not_after import Deadline
from tasks.runtime.runner import Attempt, Ended, Wait

from .collection import collection, is_live
from .completion_address import completion_address

#: The ledger learns of a notification's answer a moment after it was given.
_LAST_LOOK_SECONDS = 5.0
#: How often the server is asked to record one call. Each request may make a file of its own.
_MOST_STARTS = 2


def with_collection(request: Request, account: NotifyingAccount) -> Request:
    """Return the request of a start with what its transaction opens beside the job.

    This is the instruction and, if we will be notified of the recording's end, the job that
    collects it.
    """
    parameters = request.parameters
    instruction = ToRecord(
        token=secrets.token_urlsafe(32),
        call_id=parameters["call_id"],
        control=account.control,
        parameters=parameters,
    )
    why_not = _not_collected(parameters, account)
    if why_not is not None:
        return replace(request, details=instruction, work={"not_collected": why_not})
    collects = collection(account.alias, request.job_id, parameters["call_id"])
    return replace(request, details=instruction, companion=collects)


def start(attempt: Attempt) -> Ended:
    """Record the call, or raise the error that callers see.

    Returns ``{job_id, call_id, format, recording_since, collected, collect_job_id}``, or
    ``not_collected_because`` in place of ``collect_job_id``. Under control by HTTP the server is
    asked, and once more if its answer was lost and the call is listed. Otherwise the attempt waits
    until a notification was answered with the document, or until ``not_after``.
    """
    instruction = ledger().recording_instructions.of_job(attempt.job.job_id)
    if instruction is None:
        raise errors.Rejected(
            "not done: a start is never retried later; to record the call, use a new request id"
        )
    if instruction.state != recorded.ARMED:
        return _started(attempt, instruction)
    if instruction.control == "http":
        return _ask_server(attempt, instruction)
    raise _next_wait(attempt)


def _ask_server(attempt: Attempt, instruction: Instruction) -> Ended:
    times = int(attempt.job.work.get("asked", 0))
    deadline = Deadline(attempt)
    _refuse_late(deadline, attempt, times)

    def wait(reason: str, seconds: float) -> Wait:
        return deadline.wait(reason, seconds, progressed=False)

    with client(attempt, CollectsRecordings, wait) as server:
        try:
            if times:
                _refuse_another(attempt, instruction, server.calls())
            # Noted first: if this worker is killed after the request, nothing may say that the
            # server was never asked.
            attempt.note(asked=times + 1)
            _request_start(attempt, instruction, server)
        except provider.Uncertain as error:
            raise wait(str(error), attempt.next_backoff("troubles")) from None
        except provider.Temporary as error:
            attempt.job.work["asked"] = times
            raise wait(str(error), attempt.next_backoff("troubles")) from None
        except provider.ProviderError as error:
            raise _refused(error, times) from None
    ledger().recording_instructions.mark_answered(instruction.token)
    found = ledger().recording_instructions.of_job(attempt.job.job_id)
    assert found is not None
    return _started(attempt, found)


def _refused(error: provider.ProviderError, times: int) -> errors.JobError:
    if times:
        # The server may have carried out an earlier request, and this one may have come after the
        # call's end.
        return errors.Uncertain(f"unknown: an earlier request got no answer; {error}")
    return as_job_error(error)


def _request_start(attempt: Attempt, instruction: Instruction, server: CollectsRecordings) -> None:
    try:
        server.start_recording(
            {**attempt.job.parameters, "finished_url": completion_address(instruction)}
        )
    except provider.Unconfirmed:
        # The server has the request: it is not sent again, only followed up.
        attempt.job.work["answered"] = True
        raise


def _refuse_another(attempt: Attempt, instruction: Instruction, calls: list[LiveCall]) -> None:
    """Raise Uncertain unless the server may be asked once more.

    A lost answer is worth a second file of the call, never a third; an answer that could not be
    read is worth none.
    """
    if not is_live(calls, instruction.call_id):
        raise errors.Uncertain(
            "unknown: the call ended before the server confirmed that it records the call; if it "
            "did, the recording will be collected"
        )
    if attempt.job.work.get("answered") or int(attempt.job.work["asked"]) >= _MOST_STARTS:
        why = f"; last: {attempt.job.reason}" if attempt.job.reason else ""
        raise errors.Uncertain(
            "unknown: the call is in progress, and no list shows whether it is recorded; the start "
            f"is not sent again; if the call is recorded, the recording will be collected{why}"
        )


def _refuse_late(deadline: Deadline, attempt: Attempt, times: int) -> None:
    if not times:
        deadline.refuse_late()
    elif deadline.passed:
        why = f"; last: {attempt.job.reason}" if attempt.job.reason else ""
        raise errors.Uncertain(f"unknown: not_after has passed without an answer{why}")


def _next_wait(attempt: Attempt) -> Exception:
    """Return a wait for the call's next notification, or Expired.

    The answer makes the job due. In case the answer came while this attempt ran, the job looks
    again soon after it was armed, and once past ``not_after``.
    """
    job = attempt.job
    looks = int(job.work.get("looks", 0))
    job.work["looks"] = looks + 1
    why = "waits for the call's next notification, to answer it with the document"
    if job.not_after is None or job.updated_at < job.not_after:
        left = None if job.not_after is None else job.not_after - job.updated_at
        return Wait(why, min(1.0 if looks == 0 else 3600.0, 3600.0 if left is None else left))
    if not job.work.get("late"):
        job.work["late"] = True
        return Wait(why, _LAST_LOOK_SECONDS)
    return errors.Expired(
        "not done: not_after has passed before a notification of the call could be answered; check "
        "that the server notifies EARWITNESS_HOOKS_URL and that the receiver runs"
    )


def _started(attempt: Attempt, instruction: Instruction) -> Ended:
    result = {
        "call_id": instruction.call_id,
        "format": instruction.parameters["format"],
        "recording_since": iso(instruction.answered_at),
        "collected": instruction.collect_job_id is not None,
    }
    if instruction.collect_job_id is not None:
        return Ended({**result, "collect_job_id": instruction.collect_job_id})
    return Ended({**result, "not_collected_because": attempt.job.work.get("not_collected")})


def _not_collected(parameters: dict[str, Any], account: NotifyingAccount) -> str | None:
    """Return why we will not be notified of the recording's end, or None."""
    if "finished_url" in parameters:
        return "its end is reported to the given finished_url"
    if settings().hooks_url is None:
        return "EARWITNESS_HOOKS_URL is not set, so its end cannot be reported"
    if not account.allowed_networks:
        return f"account {account.alias} has no allowed_networks, so no server may report its end"
    return None
