"""Aliases that this worker does not know, although another worker may.

An account is added worker by worker, by a restart or a reload. Until the last of them knows it,
whatever needs the account goes to a worker that does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from celery.exceptions import Reject

from config.accounts import ALIAS
from config.queues import KNOWS
from config.settings import settings
from ledger.alerts import EVERY_ACCOUNT
from ledger.core import held
from ledger.core.job import Job
from tasks.errors import InvalidArgument

from .context import ledger, stopping
from .messages import publish_first
from .redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)

#: How long a message or a hint rests before it goes back to its queue, so that it does not circle
#: too fast.
_REST_SECONDS = 0.25
#: A job that has been due for longer rests before its next hint, so that it blocks no slots: for so
#: long if another worker knows its account, and for so long if none does.
_ROUNDS_SECONDS = 10.0
_LATE_SECONDS, _SELDOM_SECONDS = 5.0, 30.0
_REPEAT_SECONDS = 60.0

_warned_at: dict[str, float] = {}


@contextmanager
def passed_on() -> Iterator[None]:
    """Put a message back to its queue if another worker knows the account that this one lacks.

    If no worker knows it, the refusal stands. Raises Reject and InvalidArgument.
    """
    try:
        yield
    except InvalidArgument as error:
        alias = error.unknown_account
        if alias is None or not _known_elsewhere(alias):
            raise
        _warn(alias)
        stopping.wait(_REST_SECONDS)
        raise Reject(f"account {alias} is unknown here", requeue=True) from None


def _warn(alias: str) -> None:
    now = time.monotonic()
    if now - _warned_at.get(alias, float("-inf")) > _REPEAT_SECONDS:
        _warned_at[alias] = now
        _log.warning(
            "this worker does not know account %s, which another worker knows: it leaves messages "
            "and jobs of that account to others; reload or restart it",
            alias,
        )


def _known_elsewhere(alias: str) -> bool:
    if not ALIAS.fullmatch(alias):
        return False
    try:
        client: Any = current_app.backend.client
        return bool(client.exists(settings().redis_key(KNOWS + alias)))
    except BROKER_AWAY as error:
        _log.info("cannot tell whether another worker knows account %s: %s", alias, error)
        return True  # the message goes back, and is looked at again


def leave_to_others(job: Job, number: int | None) -> bool:
    """Return whether the job's account is unknown here; the job is then left to another worker.

    Its hint goes back to the queue while the job has been due for seconds; later the job is
    announced again after a rest. A job whose ``not_after`` has passed is not left to others, so
    that it can expire.
    """
    if job.account in settings().accounts or job.account == EVERY_ACCOUNT:
        return False
    now = ledger().database.time()
    if job.not_after is not None and job.not_after <= now:
        return False
    if job.next_attempt_at is None or job.next_attempt_at > now:
        return True
    is_known = _known_elsewhere(job.account)
    if is_known:
        _warn(job.account)
    if is_known and now - job.next_attempt_at < _ROUNDS_SECONDS:
        go_round(job, number)
    else:
        longest = _LATE_SECONDS if is_known else _SELDOM_SECONDS
        seconds = min(longest, settings().poll_max_seconds)
        ledger().wakeups.put_back(
            job.job_id,
            seconds=seconds,
            reason=describe(job.account),
            held_by=None if is_known else held.ACCOUNT,
        )
    return True


def go_round(job: Job, number: int | None) -> None:
    """Put the job's hint back to its queue, for another worker."""
    stopping.wait(_REST_SECONDS)
    publish_first(job, number or 0)


def describe(alias: str) -> str:
    """Return why a job of an unknown account waits, and what ends that."""
    return (
        f"waits for a worker that knows account {alias!r}: add it to the accounts file of every "
        "worker and reload them, or cancel the job"
    )
