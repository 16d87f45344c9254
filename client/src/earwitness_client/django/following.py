"""Follows jobs: sends unsent requests, and asks the worker about jobs with no known outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db import router

from earwitness_client import inquiries, many
from earwitness_client.errors import JobError, NoSuchJob, NotAnswered, NotSent, RequestConflict
from earwitness_client.redis_faults import AWAY
from earwitness_client.results import JobView
from earwitness_client.stored import ended, exception
from earwitness_client.waiting import Waiting

from .clients import get_client
from .models import Job
from .states import State

_TOGETHER = 500

_log = logging.getLogger("earwitness_client")


@dataclass
class Followed:
    """What one pass over the table found.

    ``changes`` are the rows that changed, each with its state before. ``problems`` say why some
    could not be sent or asked for; the next pass tries these again.
    """

    changes: list[tuple[Job, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Pass:
    """One pass over the table; ``timeout`` bounds each wait for the worker, in seconds."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._client = get_client()
        self._broker = self._client._broker  # noqa: SLF001 - of this package
        self._found = Followed()

    def follow(self) -> Followed:
        """Send, wait for acceptance, and ask for states."""
        is_alone = self._is_alone()
        is_taken = all(self._send(jobs) for jobs in _batches(_jobs().to_send()))
        if is_alone and _jobs().followed().exists():
            self._found.problems.append(
                f"unknown: no worker listens on this Redis ({self._broker.queue.place}) now, and "
                "requests wait in its queue; nothing was asked, and the next pass tries again"
            )
        elif is_taken:
            all(self._await_acceptance(jobs) for jobs in _batches(_jobs().sent()))
            all(self._ask(jobs) for jobs in _batches(_jobs().followed()))
        return self._found

    def _is_alone(self) -> bool:
        """Return whether the worker is away, so that questions would only fill its queue."""
        queue = self._broker.queue
        try:
            is_here = self._broker.run(queue.listeners()) == "now"
            return not is_here and self._broker.run(queue.queued()) > 0
        except AWAY:
            return False

    def _send(self, jobs: Sequence[Job]) -> bool:
        """Send requests that are still to be sent; return whether Redis took them."""
        try:
            self._broker.run(many.send([job.request() for job in jobs]))
        except NotSent as error:
            self._found.problems.append(str(error))
            return False
        for job in jobs:
            self._record(job, State.SENT, reason="")
        return True

    def _await_acceptance(self, jobs: Sequence[Job]) -> bool:
        """Wait until jobs are accepted or refused; a request that Redis lost is sent again.

        Return whether a worker answers.
        """
        queue = self._broker.queue
        watches = [inquiries.watch(queue, job.request(), accepted=True) for job in jobs]
        of_watch = dict(zip(watches, jobs, strict=True))
        waiting = Waiting(queue, watches, self._timeout)
        try:
            while waiting.pending and (over := self._broker.run(waiting.round())):
                for one in over:
                    refusal = one.outcome.refusal
                    if refusal is not None:
                        self._refused(of_watch[one], refusal)
        except NotAnswered as error:
            self._found.problems.append(str(error))
            return False
        self._report(self._broker.run(many.not_all_ended(waiting, self._timeout)))
        return not waiting.pending

    def _refused(self, job: Job, refusal: JobError) -> None:
        # With a conflict the id is another request's: these arguments are never sent again.
        forget = {"arguments": None} if isinstance(refusal, RequestConflict) else {}
        name = type(refusal).__name__
        self._record(job, State.REFUSED, error=name, reason=str(refusal), **forget)

    def _ask(self, jobs: Sequence[Job]) -> bool:
        """Ask the worker for the states of jobs; return whether it answers."""
        try:
            answers = self._client.send_many(self._client.job.status, [_named(job) for job in jobs])
            views = self._client.wait_many(answers, self._timeout)
        except (NotSent, NotAnswered) as error:
            self._found.problems.append(str(error))
            return False
        unknown = []
        for job, view in zip(jobs, views, strict=True):
            if isinstance(view, dict):
                self._seen(job, view)
            elif not (isinstance(view, NoSuchJob) and job.state == State.SENT):
                unknown.append(f"{job}: {view}")
        self._report(unknown)
        return not any(isinstance(view, NotAnswered) for view in views)

    def _report(self, problems: Sequence[str]) -> None:
        """Add problems of one kind, with the first one's text."""
        if problems:
            more = f" ({len(problems) - 1} more like it)" if len(problems) > 1 else ""
            self._found.problems.append(f"{problems[0]}{more}")

    def _seen(self, job: Job, view: JobView) -> None:
        state: str = view["state"]
        reason = view["reason"] or ""
        news = {"job_id": view["job_id"], "reason": reason}
        if state == job.state:
            _jobs().filter(pk=job.pk, state=state).exclude(**news).update(**news)
            return
        error = self._exception(job) if state in {State.FAILED, State.CANCELLED} else ""
        if state == State.NEEDS_DECISION:
            error = "Uncertain"
        self._record(job, state, error=error, result=view["result"], **news)

    def _exception(self, job: Job) -> str:
        """Return the name of the exception, which only the task's result has, for a day."""
        try:
            (stored,) = self._broker.run(self._broker.queue.stored([job.task_id]))
        except AWAY:
            return ""
        error = exception(stored) if ended(stored) else None
        return type(error).__name__ if error is not None else ""

    def _record(self, job: Job, state: str, **news: Any) -> None:
        """Store news; a receiver of the signal that fails does not hold up other jobs."""
        previous = job.state
        try:
            is_news = job.record(state, **news)
        except Exception as error:  # noqa: BLE001 - of the project's own receivers
            _log.exception("job %s could not be stored as %s", job, state)
            self._found.problems.append(f"{job}: not stored as {state}: {type(error).__name__}")
        else:
            if is_news:
                self._found.changes.append((job, previous))


def follow(timeout: float = 30) -> Followed:
    """Send what was not sent, and learn what became of the jobs that have not ended.

    It may run beside itself and at any time: nothing is done twice. ``timeout`` bounds each wait
    for the worker, in seconds.
    """
    return Pass(timeout).follow()


def _jobs() -> Any:
    """Return all jobs, from the database to which they are written: replicas lag behind."""
    return Job.objects.using(router.db_for_write(Job))


def _named(job: Job) -> dict[str, str]:
    """Return the arguments with which to ask for a job.

    A day that was exported before has its job under another id, which the first answer tells.
    """
    is_day = job.request().request_id is None
    by_task = is_day and job.state == State.SENT and job.task_id
    return {"task_id": job.task_id} if by_task else {"job_id": job.job_id}


def _batches(jobs: Any) -> Iterator[list[Job]]:
    """Yield rows in their order, each once, without holding a cursor meanwhile."""
    last = 0
    while batch := list(islice(jobs.filter(pk__gt=last), _TOGETHER)):
        yield batch
        last = batch[-1].pk
