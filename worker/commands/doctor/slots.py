"""``doctor`` on slots: whether every slot of the workers of a queue is in use, and what waits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.errors import LedgerError
from tasks.runtime.context import ledger
from worker.health.heartbeat_files import DRAINING
from worker.redis import queue_depths
from worker.redis.queue_depths import QUEUES

from .findings import Finding, error, ok, warning

_SUBJECT = "workers"
_LEDGER_SECONDS = 2.0
#: The rule EarwitnessQueueNotConsumed has the same limit.
_LATE_SECONDS = 120.0
_ADVICE = (
    "see what runs: earwitness status --state running; then start another worker, or start "
    "these with a higher --concurrency; if a provider is slow, contact the provider"
)


@dataclass(frozen=True)
class _Backlog:
    """What waits for a queue's workers: messages and due jobs, and the seconds of the oldest."""

    queue: str
    messages: int
    jobs: int
    age: float

    def __str__(self) -> str:
        """Return the backlog in words."""
        counts = f"{self.messages} message{'s' * (self.messages != 1)}"
        if self.jobs:
            counts += f" and {self.jobs} due job{'s' * (self.jobs != 1)}"
        return f"{self.queue} has {counts}, the oldest for {self.age:.0f} s"


def examined(
    answers: Mapping[str, Iterable[Mapping[str, Any]]],
    states: Mapping[str, Mapping[str, Any]],
    *,
    has_ledger: bool,
) -> Iterator[Finding]:
    """Compare the slots with what waits. ``answers`` are the queues of each worker, ``states`` the
    answers of our workers, of which those of earlier releases name no slots.
    """
    working = {
        name: one for name, one in states.items() if "slots" in one and one["phase"] != DRAINING
    }
    if not working:
        return
    full = {name for name, one in working.items() if one["slots_in_use"] >= one["slots"]}
    queues = {name: {one["name"] for one in consumed} for name, consumed in answers.items()}
    stuck = [queue for queue in QUEUES if _is_full(queue, queues, full)]
    slots = sum(one["slots"] for one in working.values())
    if not stuck:
        in_use = sum(one["slots_in_use"] for one in working.values())
        are = "is" if 1 in (in_use, slots) else "are"
        yield ok(_SUBJECT, f"{in_use} of {slots} slot{'s' * (slots != 1)} {are} in use")
        return
    names = sorted(name for name in full if queues.get(name, set()) & set(stuck))
    slots = sum(working[name]["slots"] for name in names)
    due, unknown = _due(has_ledger=has_ledger)
    waiting = list(_backlogs(stuck, due))
    what = "; ".join(map(str, waiting)) or ("no message waits" if unknown else "nothing waits")
    if unknown:
        what += f"; how many jobs are due is unknown: {unknown}"
    meaning = f"every slot of {', '.join(names)} is in use ({slots} of {slots}): {what}"
    if not waiting and not unknown:
        yield ok(_SUBJECT, meaning)
    elif max((one.age for one in waiting), default=0.0) < _LATE_SECONDS:
        yield warning(_SUBJECT, meaning, _ADVICE)
    else:
        yield error(_SUBJECT, meaning, _ADVICE)


def _is_full(queue: str, queues: Mapping[str, Collection[str]], full: Collection[str]) -> bool:
    """Return whether workers consume the queue, and none of them has a free slot."""
    consumers = [name for name, consumed in queues.items() if queue in consumed]
    return bool(consumers) and all(name in full for name in consumers)


def _due(*, has_ledger: bool) -> tuple[dict[str, Any], str]:
    """Return the due jobs of each queue, and why they are unknown."""
    if not has_ledger:
        return {}, ""
    try:
        rows = ledger().stats(patience_seconds=_LEDGER_SECONDS).due
    except LedgerError as failure:
        return {}, str(failure)
    return {row.queue: row for row in rows}, ""


def _backlogs(queues: Iterable[str], due: Mapping[str, Any]) -> Iterator[_Backlog]:
    """Yield what waits for these queues: most due jobs have no message yet."""
    depths = queue_depths.look().depths
    for queue in queues:
        depth, row = depths.get(queue), due.get(queue)
        messages, jobs = depth.messages if depth else 0, row.jobs if row else 0
        age = max(depth.age if depth else 0.0, row.age if row else 0.0)
        if messages or jobs:
            yield _Backlog(queue, messages, jobs, age)
