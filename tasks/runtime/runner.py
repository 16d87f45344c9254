"""One attempt at a job: do the work under the lease and store the outcome as a row."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from archive.errors import StoreAway
from config.accounts import Account
from config.masking import masked_error
from config.settings import settings
from ledger.core import held, states
from ledger.core.job import Job
from ledger.core.leases import Lease
from ledger.core.opening import Request
from ledger.errors import LedgerError
from tasks.errors import Cancelled, InvalidArgument, JobError, Uncertain, stored

from . import archive_alerts
from .context import account_kept, ledger, stopping
from .messages import publish_first
from .unknown_accounts import describe

_log = logging.getLogger(__name__)

#: How many unforeseen exceptions end a job; each earlier one ends only its attempt.
_MOST_UNFORESEEN = 5


class Wait(Exception):
    """The job continues in ``seconds``.

    ``progressed`` says that this attempt got further, so that dead workers before it are forgotten;
    ``queue`` moves the job to another queue. ``held_by`` is the obstacle that holds the job, one
    of `ledger.core.held`.
    """

    def __init__(
        self,
        reason: str,
        seconds: float,
        *,
        queue: str | None = None,
        progressed: bool = True,
        held_by: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds
        self.queue = queue
        self.progressed = progressed
        self.held_by = held_by


class GiveBack(Exception):
    """Raised when the process is stopping: the job is due at once for another worker."""


@dataclass(frozen=True)
class Parts:
    """Returned by an attempt that waits for parts: their requests, and the queue for later work."""

    requests: list[Request]
    queue: str


@dataclass(frozen=True)
class Ended:
    """Returned by an attempt at the job's end.

    With an ``error`` the job has failed, but it may have a result all the same. ``obligations`` are
    pairs of kind and payload for the outbox.
    """

    result: dict[str, Any]
    error: JobError | None = None
    obligations: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass
class Attempt:
    """A claimed job, and what its work may ask of the ledger.

    ``task_id`` is the task that stores the outcome if this attempt ends the job; None if a message
    of its own answers it.
    """

    job: Job
    lease: Lease
    task_id: str | None
    #: How long the work may be silent, in seconds: longer than one HTTP call may take.
    quiet_seconds: float | None = None
    #: When it began, in monotonic seconds.
    began: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Give a sign of life, or stop the work.

        The work stops if the lease is lost, the job was cancelled or this process is stopping.
        """
        self.lease.check()
        self.lease.progress(self.quiet_seconds)
        if self.lease.cancelled:
            raise Cancelled("not done: the job was cancelled while it ran")
        if stopping.is_set():
            raise GiveBack

    @property
    def held_by(self) -> str | None:
        """The obstacle that held the job before this attempt, or None."""
        note = self.job.work.get(held.NOTE)
        return note.get("by") if isinstance(note, dict) else None

    def note_obstacle(self, obstacle: str | None) -> None:
        """Note in the job's work that an obstacle holds the job, or that none does."""
        lasted = time.monotonic() - self.began
        held.noted(self.job.work, obstacle, at=self.job.updated_at + lasted, lasted=lasted)

    def expect_silence(self, timeout_seconds: float) -> None:
        """Let signs of life be as far apart as a call with this timeout, in seconds, can last.

        That is the time to connect, the time to answer and one more renewal of the lease.
        """
        self.quiet_seconds = 2 * timeout_seconds + ledger().leases.seconds

    def note(self, **work: Any) -> None:
        """Add to the work's notes and store them, before the work continues."""
        self.job.work.update(work)
        ledger().execution.note(self.lease, self.job.work)

    def record(self, why: str) -> None:
        """Store how far the work has come, with a line of the job's history."""
        ledger().execution.note(self.lease, self.job.work, why=why)

    @property
    def age_seconds(self) -> float:
        """Seconds since the job was opened, or first due, by the ledger's clock at the claim."""
        return self.job.updated_at - self.job.began_at

    def next_backoff(self, counter: str, *, first_seconds: float | None = None) -> float:
        """Return how many seconds to wait before the next try.

        The wait doubles with jitter between the two polling times, or from ``first_seconds``. The
        number of tries is kept in the job's work under ``counter``.
        """
        times = int(self.job.work.get(counter, 0))
        self.job.work[counter] = times + 1
        # 2**n exceeds every setting long before n reaches the limit; a float must not overflow.
        first = settings().poll_first_seconds if first_seconds is None else first_seconds
        wait = first * 2.0 ** min(times, 32)
        return min(wait, settings().poll_max_seconds) * random.uniform(0.85, 1.15)  # noqa: S311

    @property
    def past_deadline(self) -> bool:
        """Whether `POLL_DEADLINE_HOURS` has passed."""
        return self.age_seconds > settings().poll_deadline_hours * 3600


#: Returns a Job if a rule of its kind has stored the outcome already.
Run = Callable[[Attempt], Ended | Parts | Job]


def carry_out(attempt: Attempt, run: Run) -> Job:
    """Do the work of a claimed job, store the outcome, and return the job as it is then.

    Raises LeaseLost if another worker holds the job: then nothing was stored.
    """
    account = settings().accounts.get(attempt.job.account)
    try:
        with account_kept(attempt.job.account):
            outcome = _run_guarded(attempt, run)
    except Wait as wait:
        job = _postpone(attempt, wait)
        return _hastened(job) if _was_corrected(account, job, wait) else job
    except GiveBack:
        why = "its worker is stopping; another worker continues"
        return _postpone(attempt, Wait(why, 0, held_by=attempt.held_by))
    except Cancelled as error:
        return _end(attempt, states.CANCELLED, Ended({}, error))
    except JobError as error:
        return _end(attempt, states.FAILED, Ended({}, error))
    except LedgerError:
        raise
    except Exception as error:  # noqa: BLE001 - logged, counted and shown as the job's reason
        _log.exception("job %s failed unexpectedly", attempt.job.job_id)
        return _handle_unforeseen(attempt, error)
    if isinstance(outcome, Job):
        return outcome
    if isinstance(outcome, Parts):
        return _await_parts(attempt, outcome)
    state = states.DONE if outcome.error is None else states.FAILED
    return _end(attempt, state, outcome)


def _run_guarded(attempt: Attempt, run: Run) -> Ended | Parts | Job:
    try:
        return run(attempt)
    except InvalidArgument as error:
        if error.unknown_account is None:
            raise
        seconds = attempt.next_backoff("unknown_account")
        raise Wait(describe(error.unknown_account), seconds, held_by=held.ACCOUNT) from None
    except StoreAway as error:
        # The job is not at fault, however long this lasts: it waits, and continues by itself.
        archive_alerts.alert_refusal(error)
        seconds = attempt.next_backoff(held.TRIES)
        raise Wait(str(error), seconds, held_by=held.ARCHIVE) from None
    except OSError as error:
        if error.filename is None:
            raise
        # A local folder, such as the spool: the archive raises errors of its own.
        archive_alerts.alert_spool_refusal(error)
        reason = f"{error.filename}: {error.strerror or type(error).__name__}; will retry"
        raise Wait(reason, attempt.next_backoff(held.TRIES), held_by=held.DISK) from None


def _postpone(attempt: Attempt, wait: Wait) -> Job:
    attempt.note_obstacle(wait.held_by)
    ledger().execution.postpone(
        attempt.lease,
        wait.reason,
        seconds=wait.seconds,
        work=attempt.job.work,
        queue=wait.queue,
        progressed=wait.progressed,
    )
    return ledger().jobs.job(attempt.job.job_id)


def _was_corrected(account: Account | None, job: Job, wait: Wait) -> bool:
    """Return whether the job waits for a change of its account that came during the attempt."""
    waits = wait.held_by in held.OF_ONE_ACCOUNT and wait.seconds > 0
    return waits and settings().accounts.get(job.account) != account


def _hastened(job: Job) -> Job:
    # The reload let waiting jobs of the account be tried at once, and this one ran until now.
    ledger().held_jobs.hasten(job.account)
    return ledger().jobs.job(job.job_id)


def _handle_unforeseen(attempt: Attempt, error: Exception) -> Job:
    sentence = masked_error(error)
    if int(attempt.job.work.get("surprises", 0)) + 1 >= _MOST_UNFORESEEN:
        failure = Uncertain(
            f"unknown: the job failed unexpectedly five times, most recently with {sentence}; see "
            "the worker's log"
        )
        return _end(attempt, states.FAILED, Ended({}, failure))
    seconds = attempt.next_backoff("surprises")
    return _postpone(attempt, Wait(f"unexpected error: {sentence}; will retry", seconds))


def _await_parts(attempt: Attempt, parts: Parts) -> Job:
    attempt.note_obstacle(None)
    opened = ledger().execution.await_parts(
        attempt.lease, parts.requests, work=attempt.job.work, queue=parts.queue
    )
    for job, number in opened:
        publish_first(job, number)
    return ledger().jobs.job(attempt.job.job_id)


def _end(attempt: Attempt, state: str, outcome: Ended) -> Job:
    error = outcome.error
    if attempt.job.work.pop(held.REFUSED_ACCOUNT, None) is not None:
        attempt.note()
    return ledger().execution.finish(
        attempt.lease,
        state,
        reason=None if error is None else str(error),
        result=outcome.result or None,
        error=None if error is None else stored(error),
        obligations=outcome.obligations,
        own_task=attempt.task_id,
        contradicts=None if error is None else error.contradicts,
    )
