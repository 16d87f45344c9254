"""Downloads that continue where they stopped: a job remembers which spool holds its bytes.

Every host has a spool of its own. A job whose download broke off is left to the workers of the same
spool for some seconds, since a worker of another spool would begin at the first byte.
"""

from __future__ import annotations

from typing import Any

from celery import current_app

from config.queues import SPOOL
from config.settings import settings
from ledger.core.job import Job

from .context import ledger, spool
from .redis_errors import BROKER_AWAY
from .runner import Attempt
from .unknown_accounts import go_round

#: In a job's work: the spool that holds its unfinished download, and for how many seconds the job
#: is left to the workers of that spool.
HELD = "holder"
#: After a worker's death, the job must continue within a minute, and the lease took half of it. A
#: worker that was stopped is probably being restarted.
_AFTER_DEATH_SECONDS, _AFTER_STOP_SECONDS = 10.0, 30.0


def remember(attempt: Attempt, *, stopped: bool = False) -> None:
    """Note in the job's work that this process' spool holds the download."""
    seconds = _AFTER_STOP_SECONDS if stopped else _AFTER_DEATH_SECONDS
    attempt.job.work[HELD] = {"spool": spool().identity(), "seconds": seconds}


def forget(attempt: Attempt) -> None:
    """Prefer no spool any more: the download is complete, or cannot continue there."""
    attempt.job.work.pop(HELD, None)


def is_held_elsewhere(job: Job) -> bool:
    """Return whether another spool than this process' holds the job's download."""
    held = _held(job)
    return held is not None and held["spool"] != spool().identity()


def leave_to_holder(job: Job, number: int | None) -> bool:
    """Return whether the job is left to a worker whose spool holds its download.

    Its hint goes back to the queue, for some seconds at most and only while such a worker is there.
    """
    held = _held(job)
    if held is None or job.next_attempt_at is None or held["spool"] == spool().identity():
        return False
    late = ledger().database.time() - job.next_attempt_at
    if not 0 <= late < held["seconds"] or not _has_worker(held["spool"]):
        return False
    go_round(job, number)
    return True


def _held(job: Job) -> dict[str, Any] | None:
    held = job.work.get(HELD)
    return held if isinstance(held, dict) and held.get("spool") is not None else None


def _has_worker(spool_id: str) -> bool:
    try:
        client: Any = current_app.backend.client
        return bool(client.exists(settings().redis_key(SPOOL + spool_id)))
    except BROKER_AWAY:
        return False
