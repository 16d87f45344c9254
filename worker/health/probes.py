"""Answers to probes over HTTP: ``/healthz`` and ``/readyz``, from the process's own state.

A probe waits for nothing: neither for Redis, the ledger or the archive, nor for a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .heartbeat import heartbeat
from .judgement import WITHIN_SECONDS, Judgement, liveness, readiness

#: How recently Redis must have been found away for a worker to wait for it.
_AWAY_SECONDS = 15.0
_NOT_BEGUN = Judgement(False, "the worker has not begun yet")

HEALTHZ, READYZ = "/healthz", "/readyz"


def healthz() -> Judgement:
    """Judge whether this process works; if not, restart it."""
    return _judged(liveness)


def readyz() -> Judgement:
    """Judge whether this process takes work now."""
    return _judged(readiness)


#: The judgement of each path.
PROBES: dict[str, Callable[[], Judgement]] = {HEALTHZ: healthz, READYZ: readyz}


def _judged(judge: Callable[..., Judgement]) -> Judgement:
    mark = heartbeat.mark()
    if mark is None:
        return _NOT_BEGUN
    now = time.monotonic()
    is_away = mark.redis_away_at is not None and now - mark.redis_away_at < _AWAY_SECONDS
    return judge(mark, mark.queues, WITHIN_SECONDS, now=now, redis_answers=lambda: not is_away)
