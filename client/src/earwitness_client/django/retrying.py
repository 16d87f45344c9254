"""What a person may do about a job that did not come to its end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from earwitness_client.errors import InvalidArgument

from .clients import get_client
from .models import Job
from .sending import send_now
from .states import GOING_ON, NOT_ACCEPTED, State

#: A repetition of these would be paid once more.
_PAID = frozenset({"certified_call.request"})
_ANSWER_SECONDS = 10


class Way(Enum):
    """How a job is retried."""

    #: The same request again, under the same id: done once, however often it is sent.
    SEND_AGAIN = "send again"
    #: The worker repeats the job as a new one.
    REPEAT = "repeat"


@dataclass(frozen=True)
class Retry:
    """What a retry of a job does: ``way`` is None where none is possible, ``meaning`` says why."""

    way: Way | None
    meaning: str


def offered(job: Job) -> Retry:
    """Return what a retry of a job would do. No retry can place a paid call a second time."""
    if job.state in NOT_ACCEPTED:
        if job.arguments is None:
            return Retry(None, "the request id belongs to another request; use a new id")
        return Retry(
            Way.SEND_AGAIN,
            "sends the same request again under the same request id: it is done once, however "
            "often it is sent",
        )
    if job.state == State.DONE:
        return Retry(None, "the job is done")
    if job.state in GOING_ON:
        return Retry(None, "the job continues by itself")
    if job.state == State.NEEDS_DECISION:
        return Retry(
            None,
            "nobody knows whether it was done, and a retry could do it a second time; look in "
            "the provider's panel, then decide on the worker's host: earwitness resolve",
        )
    if job.task in _PAID:
        return Retry(
            None,
            "a paid call is never repeated; if another call is wanted, request it under a new id",
        )
    return Retry(Way.REPEAT, "has the worker do the work again, as a new job with a row of its own")


def retry(job: Job, *, by: str, note: str) -> Job:
    """Retry a job as ``offered`` says; return the row to look at now.

    ``by`` says who decided and ``note`` why; the worker's ledger keeps both. Raises
    InvalidArgument where no retry is possible, the worker's JobError, NotSent and NotAnswered.
    After the last two it may be done again.
    """
    what = offered(job)
    if what.way is None:
        raise InvalidArgument(f"not done: {job}: {what.meaning}")
    if what.way is Way.SEND_AGAIN:
        job.request_again()
        send_now(job)
        return job
    view = get_client().job.retry(job_id=job.job_id, by=by, note=note).wait(_ANSWER_SECONDS)
    repetition: Job
    repetition, is_new = Job.objects.get_or_create(
        account=job.account,
        task=view["kind"],
        request_id=view["request_id"],
        defaults={
            "job_id": view["job_id"],
            "state": view["state"],
            "reason": view["reason"] or "",
            "repeats": job,
            "subject_type": job.subject_type,
            "subject_id": job.subject_id,
        },
    )
    if not is_new:
        repetition.record(view["state"], reason=view["reason"] or "", result=view["result"])
    return repetition
