"""Aliases that this worker does not know, although another worker may.

An account is added worker by worker, by a restart or a reload. Until the last of them knows it,
whatever needs the account goes to a worker that does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from celery.exceptions import Reject

from config.accounts import ALIAS
from config.queues import KNOWS
from config.settings import settings
from ledger.core.job import Job
from tasks.errors import InvalidArgument

from .context import ledger, stopping
from .redis_errors import BROKER_AWAY

_log = logging.getLogger(__name__)

#: How long a message rests before it goes back to its queue, so that it does not circle.
_REST_SECONDS = 1.0
#: How long a job rests before another worker may get its hint: soon at first, and seldom once the
#: alias has been unknown for long.
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 60.0


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
        _log.warning(
            "this worker knows no account %s, but another worker does: the message goes back to "
            "its queue; restart or reload this worker",
            alias,
        )
        stopping.wait(_REST_SECONDS)
        raise Reject(f"no account is called {alias!r} here", requeue=True) from None


def _known_elsewhere(alias: str) -> bool:
    if not ALIAS.fullmatch(alias):
        return False
    try:
        client: Any = current_app.backend.client
        return bool(client.exists(settings().redis_key(KNOWS + alias)))
    except BROKER_AWAY as error:
        _log.info("cannot tell whether another worker knows account %s: %s", alias, error)
        return True  # the message goes back, and is looked at again


def is_left_to_others(job: Job) -> bool:
    """Return whether the job's account is unknown here; the job is then announced again later.

    A job whose ``not_after`` has passed is not left to others, so that it can expire.
    """
    if job.account in settings().accounts:
        return False
    now = ledger().database.time()
    if job.not_after is not None and job.not_after <= now:
        return False
    waited = now - job.updated_at
    ledger().wakeups.put_back(
        job.job_id,
        seconds=min(max(waited, _LEAST_SECONDS), _MOST_SECONDS),
        reason=describe(job.account),
    )
    return True


def describe(alias: str) -> str:
    """Return why a job of an unknown account waits, and what ends that."""
    return (
        f"waits for a worker that knows account {alias!r}: put it into the accounts file of every "
        "worker and reload them, or cancel the job"
    )
