"""One attempt at a job: the lease is held, the work is done, and whatever happens becomes a row."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from archive.errors import StoreAway
from config.masking import masked_error
from config.settings import settings
from ledger.core import states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.opening import Request
from ledger.errors import LedgerError
from tasks.errors import Cancelled, JobError, Uncertain, stored

from . import archive_alerts
from .context import ledger, stopping
from .messages import publish_first

_log = logging.getLogger(__name__)

#: How often an exception that nobody foresaw may end an attempt before it ends the job.
_MOST_SURPRISES = 5


class Wait(Exception):
    """The job goes on later, in ``seconds``. ``progressed`` says that this attempt came further, so
    that dead workers before it are forgotten; ``queue`` moves the job to another queue.
    """

    def __init__(
        self, reason: str, seconds: float, *, queue: str | None = None, progressed: bool = True
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds
        self.queue = queue
        self.progressed = progressed


class GiveBack(Exception):
    """Raised when the process is stopping: the job is due at once for another."""


@dataclass(frozen=True)
class Parts:
    """What an attempt returns to wait for parts: their requests, and the queue of what follows."""

    requests: list[Request]
    queue: str


@dataclass(frozen=True)
class Ended:
    """What an attempt returns at the job's end. With an ``error`` the job has failed, but may have
    a result all the same. ``owed`` are obligations (kind, payload).
    """

    result: dict[str, Any]
    error: JobError | None = None
    owed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass
class Attempt:
    """The job that is held, and what its work may ask of the ledger."""

    job: Job
    lease: Lease
    task_id: str
    #: How long its work may be silent: longer than one HTTP call may take.
    quiet_seconds: float | None = None

    def check(self) -> None:
        """Give a sign of life, and stop where the work must not go on: the lease is lost, the job
        was cancelled, or this process is told to stop.
        """
        self.lease.check()
        self.lease.progress(self.quiet_seconds)
        if self.lease.cancelled:
            raise Cancelled("not done: it was cancelled while it ran")
        if stopping.is_set():
            raise GiveBack

    def calls_last(self, timeout_seconds: float) -> None:
        """From now on its signs of life may be as far apart as a call with this timeout can last:
        connecting and answering, and one more renewal.
        """
        self.quiet_seconds = 2 * timeout_seconds + ledger().leases.seconds

    def note(self, **work: Any) -> None:
        """Add to what is known of the work so far, before it goes on."""
        self.job.work.update(work)
        ledger().execution.note(self.lease, self.job.work)

    @property
    def age_seconds(self) -> float:
        """How long ago the job was opened, or first due, by the ledger's clock at the claim."""
        return self.job.updated_at - self.job.began_at

    def patience(self, counter: str, *, first_seconds: float | None = None) -> float:
        """How long to wait for the nth time: doubling with jitter between the two polling times,
        or from ``first_seconds``. The count is kept under ``counter`` in the work.
        """
        times = int(self.job.work.get(counter, 0))
        self.job.work[counter] = times + 1
        # 2**n outgrows every setting long before n does; a float must not overflow.
        first = settings().poll_first_seconds if first_seconds is None else first_seconds
        wait = first * 2.0 ** min(times, 32)
        return min(wait, settings().poll_max_seconds) * random.uniform(0.85, 1.15)  # noqa: S311

    @property
    def past_deadline(self) -> bool:
        """Whether the job has waited longer than people want to."""
        return self.age_seconds > settings().poll_deadline_hours * 3600


#: A Job is returned where the outcome is stored already, by a rule of its kind.
Run = Callable[[Attempt], Ended | Parts | Job]


def carry_out(attempt: Attempt, run: Run) -> Job:
    """Do the work of a claimed job and store what came of it; the job as it is afterwards.

    Raises LeaseLost when another holds the job by now: then nothing was stored.
    """
    try:
        outcome = _tried(attempt, run)
    except Wait as wait:
        return _postponed(attempt, wait)
    except GiveBack:
        return _postponed(attempt, Wait("its worker was told to stop; another goes on", 0))
    except Cancelled as error:
        return _end(attempt, states.CANCELLED, Ended({}, error))
    except JobError as error:
        return _end(attempt, states.FAILED, Ended({}, error))
    except LedgerError:
        raise
    except Exception as error:  # noqa: BLE001 - logged, counted and shown as the job's reason
        _log.exception("job %s stopped at something unforeseen", attempt.job.job_id)
        return _surprised(attempt, error)
    if isinstance(outcome, Job):
        return outcome
    if isinstance(outcome, Parts):
        return _await_parts(attempt, outcome)
    state = states.DONE if outcome.error is None else states.FAILED
    return _end(attempt, state, outcome)


def _tried(attempt: Attempt, run: Run) -> Ended | Parts | Job:
    try:
        return run(attempt)
    except StoreAway as error:
        # Of no job is it the fault, however long it lasts: it waits, and goes on by itself.
        archive_alerts.refused(error)
        raise Wait(str(error), attempt.patience("storage")) from None
    except OSError as error:
        if error.filename is None:
            raise
        # A folder of ours, such as the spool's: the archive says its own errors.
        archive_alerts.spool_refused(error)
        reason = f"{error.filename}: {error.strerror or type(error).__name__}; it is tried again"
        raise Wait(reason, attempt.patience("storage")) from None


def _postponed(attempt: Attempt, wait: Wait) -> Job:
    ledger().execution.postpone(
        attempt.lease,
        wait.reason,
        seconds=wait.seconds,
        work=attempt.job.work,
        queue=wait.queue,
        progressed=wait.progressed,
    )
    return ledger().jobs.job(attempt.job.job_id)


def _surprised(attempt: Attempt, error: Exception) -> Job:
    sentence = masked_error(error)
    if int(attempt.job.work.get("surprises", 0)) + 1 >= _MOST_SURPRISES:
        failure = Uncertain(
            f"unknown: unforeseen five times, the last time {sentence}; see the log"
        )
        return _end(attempt, states.FAILED, Ended({}, failure))
    seconds = attempt.patience("surprises")
    return _postponed(attempt, Wait(f"unforeseen: {sentence}; tried again", seconds))


def _await_parts(attempt: Attempt, parts: Parts) -> Job:
    opened = ledger().execution.await_parts(
        attempt.lease, parts.requests, work=attempt.job.work, queue=parts.queue
    )
    for job, number in opened:
        publish_first(job, number)
    return ledger().jobs.job(attempt.job.job_id)


def _end(attempt: Attempt, state: str, outcome: Ended) -> Job:
    error = outcome.error
    return ledger().execution.finish(
        attempt.lease,
        state,
        reason=None if error is None else str(error),
        result=outcome.result or None,
        error=None if error is None else stored(error),
        owed=outcome.owed,
        own_task=attempt.task_id,
        contradicts=None if error is None else error.contradicts,
    )
