"""``python -m tests.bench.sweeping TURNS DUE [wait]``: rounds of the sweeper, in a deployment's
environment, as JSON: the milliseconds of rounds in which nothing is due, and how many due jobs
rounds announce in a second.
"""

from __future__ import annotations

import json
import sys
import time

from sqlalchemy import func, select, update

from config.queues import DUE
from ledger.core import states
from ledger.core.schema import jobs
from tasks.runtime.context import ledger
from worker.app import app
from worker.redis.queue_keys import QueueKeys
from worker.sweeper import Rounds

_SLOTS = 64
#: The rounds of one turn: one of them looks at the times of every waiting job.
_ROUNDS = 12


def _quiet(rounds: Rounds, times: int) -> list[float]:
    """Return the milliseconds of rounds with nothing to do."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        rounds.sweep()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def _busy(rounds: Rounds, due: int) -> float:
    """Make so many jobs due; return how many hints a second the rounds publish for them."""
    _make_due(due)
    keys, client = QueueKeys(app), app.backend.client
    seconds, published = 0.0, 0
    while published < due:
        began = time.perf_counter()
        rounds.sweep()
        seconds += time.perf_counter() - began
        length = keys.length(DUE)
        assert length, f"{published} of {due} jobs were announced, and a round announced none"
        published += length
        client.delete(DUE)
    return published / seconds


def _make_due(count: int) -> None:
    waiting = jobs.c.state == states.WAITING
    unhinted = jobs.c.hinted_at.is_(None)
    first = select(jobs.c.job_id).where(waiting, unhinted).limit(count)
    chosen = update(jobs).where(jobs.c.job_id.in_(first)).values(next_attempt_at=1.0)
    ledger().database.write(lambda c: c.execute(chosen), patience_seconds=30)


def _hinted() -> int:
    hinted = select(func.count()).select_from(jobs).where(jobs.c.hinted_at.is_not(None))
    return int(ledger().database.read(lambda c: c.execute(hinted).scalar_one()))


def measured(times: int, due: int, *, waits: bool) -> dict[str, object]:
    """Run rounds; return what they took and how many jobs were announced. With ``waits``, say
    that everything is loaded, and wait for a line of standard input first.
    """
    rounds = Rounds(app, slots=_SLOTS)
    rounds.sweep()  # compiles statements and opens connections
    if waits:
        sys.stderr.write("ready\n")
        sys.stdin.readline()
    quiet = [_quiet(rounds, _ROUNDS) for _ in range(times)]
    busy = [_busy(rounds, due) for _ in range(times)]
    return {"quiet": quiet, "busy": busy, "hinted": _hinted()}


if __name__ == "__main__":
    turns, jobs_due, *more = sys.argv[1:]
    found = measured(int(turns), int(jobs_due), waits=more == ["wait"])
    sys.stdout.write(json.dumps(found))
