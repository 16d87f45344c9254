"""The judgement of a process by its mark: whether it works (liveness) and takes work (readiness).

Both judge the process and not the services that it depends on. A process is alive unless a restart
would help. A worker is ready while it takes work: not before its checks are over, while it is
drained, while it stops, or while it cannot ask Redis for messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .heartbeat_files import DRAINING, STARTING, WORKING, Mark

#: The time without a sign of life or of work after which a process does not work.
WITHIN_SECONDS = 45.0


@dataclass(frozen=True)
class Judgement:
    """Whether a process is well, and a sentence about it."""

    is_well: bool
    sentence: str


def liveness(
    mark: Mark,
    needed: frozenset[str],
    within: float,
    *,
    now: float,
    redis_answers: Callable[[], bool],
) -> Judgement:
    """Judge whether a process works, or waits for something that a restart would not mend.

    ``needed`` are the queues that a worker must consume. ``within`` is in seconds, ``now`` in
    seconds of the monotonic clock.
    """
    if not 0 <= now - mark.at <= within:
        return Judgement(
            False,
            f"{mark.node} (process {mark.pid}) no longer shows any sign of life: it was killed or "
            "is stuck; restart it",
        )
    if mark.phase != WORKING:
        return Judgement(True, f"{mark.node} is {mark.phase}{_resumed_by(mark)}")
    # A worker is ready a moment before it first asks Redis for messages.
    missing = needed - mark.consumed if mark.consumed else frozenset()
    idle = now - (mark.worked_at or 0.0)
    if idle <= within and not missing:
        return Judgement(True, f"{mark.node} {_activity(mark)}")
    if not redis_answers():
        return Judgement(True, f"{mark.node} waits for Redis, which does not answer")
    if mark.redis_away_at is not None and now - mark.redis_away_at <= within:
        return Judgement(True, f"{mark.node} is reconnecting to Redis, which answers again")
    if idle <= within:
        lost = ", ".join(sorted(missing))
        return Judgement(
            False,
            f"{mark.node} is alive but does not consume {lost}; restart it, or add the queue "
            f"again: celery -A worker control -d {mark.node} add_consumer {min(missing)}",
        )
    return Judgement(
        False,
        f"{mark.node} is alive and Redis answers, but it {_inactivity(mark)} for {idle:.0f} s; "
        "restart it",
    )


def readiness(
    mark: Mark,
    needed: frozenset[str],
    within: float,
    *,
    now: float,
    redis_answers: Callable[[], bool],
) -> Judgement:
    """Judge whether a process takes work now; see `liveness`."""
    alive = liveness(mark, needed, within, now=now, redis_answers=redis_answers)
    if not alive.is_well or mark.phase != WORKING:
        return Judgement(False, alive.sentence)
    if mark.kind == "worker" and not mark.consumed:
        return Judgement(False, f"{mark.node} is {STARTING}: it has not asked for messages yet")
    is_idle = now - (mark.worked_at or 0.0) > within
    is_away = mark.redis_away_at is not None and mark.redis_away_at > (mark.worked_at or 0.0)
    if is_idle or is_away:
        return Judgement(False, f"{mark.node} waits for Redis: it takes no work until it answers")
    return alive


def _resumed_by(mark: Mark) -> str:
    if mark.phase != DRAINING:
        return ""
    return f" and takes no work; to resume: earwitness undrain --node {mark.node}"


def _activity(mark: Mark) -> str:
    if mark.kind == "beat":
        return "ticks"
    return f"consumes {', '.join(sorted(mark.consumed)) or 'in a moment'}"


def _inactivity(mark: Mark) -> str:
    return "has not ticked" if mark.kind == "beat" else "has not asked for messages"
