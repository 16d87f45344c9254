"""``doctor`` on the workers: all queues consumed, unique names, one ledger, clocks in step."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks.runtime.context import ledger
from worker.commands.publisher import announcing
from worker.health.clock import TIME_COMMAND
from worker.redis.diagnosis import diagnose
from worker.redis.presence import WITHOUT_CONSUMER

from . import configuration
from .findings import UNKNOWN, Finding, error, ok, warning

_SUBJECT = "workers"
_SECONDS = 3.0
_MOST_SECONDS_APART = 30.0


def examined(identity: str | None) -> Iterator[Finding]:
    """Examine the workers; compare their clocks only if there is a ledger."""
    try:
        with announcing() as app:
            replies = app.control.broadcast("active_queues", reply=True, timeout=_SECONDS) or []
            answers = {name: one for reply in replies for name, one in reply.items()}
            yield from _consumers(answers)
            yield from _duplicate_names([name for reply in replies for name in reply])
            if replies:
                yield from _misconsumers(answers, _times(app, len(replies)).keys())
            has_ledger = identity not in (None, UNKNOWN)
            yield from configuration.examined(app, len(answers), has_ledger=has_ledger)
            if answers and has_ledger:
                yield from _hosts(sorted(answers))
                yield from _clocks(app, len(answers))
    except (OperationalError, RedisError, OSError) as failure:
        meaning, advice = diagnose(failure)
        yield error(_SUBJECT, f"could not be asked: Redis {meaning}", advice)


def _consumers(answers: dict[str, list[dict[str, Any]]]) -> Iterator[Finding]:
    consumers: dict[str, list[str]] = {queue: [] for queue in WITHOUT_CONSUMER}
    for worker, consumed in answers.items():
        for one in consumed:
            consumers.setdefault(one["name"], []).append(worker)
    for queue, meaning in WITHOUT_CONSUMER.items():
        if consumers[queue]:
            yield ok(_SUBJECT, f"{queue} is consumed by {', '.join(sorted(consumers[queue]))}")
        else:
            advice = "start one: celery -A worker worker"
            yield error(_SUBJECT, f"no worker consumes {queue}: {meaning}", advice)


def _duplicate_names(names: list[str]) -> Iterator[Finding]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield warning(
            _SUBJECT,
            f"{names.count(name)} of them are called {name}: Flower, health and remote control "
            "treat them as one",
            "give each its own name: celery -A worker worker -n NAME@%h",
        )


def _misconsumers(
    answers: dict[str, list[dict[str, Any]]], ours: Collection[str]
) -> Iterator[Finding]:
    """Find other applications' workers on our queues, and ours on other queues."""
    for name, consumed in sorted(answers.items()):
        queues = {one["name"] for one in consumed}
        taken = sorted(queues & WITHOUT_CONSUMER.keys())
        if name not in ours and taken:
            yield error(
                _SUBJECT,
                f"{name} consumes {', '.join(taken)} and does not answer as a worker of "
                "Earwitness does: what it takes from there is lost",
                "if it belongs to another application, start it with its own -Q",
            )
        strange = sorted(queues - WITHOUT_CONSUMER.keys())
        if name in ours and strange:
            yield error(
                _SUBJECT,
                f"{name} consumes {', '.join(strange)}, which is not a queue of Earwitness: it "
                "takes what others put there and discards it",
                "start it without -Q",
            )


def _hosts(workers: list[str]) -> Iterator[Finding]:
    hosts = sorted({worker.partition("@")[2] for worker in workers})
    if len(hosts) > 1 and ledger().database.is_sqlite:
        yield warning(
            _SUBJECT,
            f"they run on {', '.join(hosts)}, and SQLite's locks hold on one host alone: the "
            "ledger can be damaged, and a call be paid twice",
            "move the ledger to PostgreSQL (docs/hosts.md), or run every worker on one host",
        )


def _clocks(app: Celery, count: int) -> Iterator[Finding]:
    """Compare each worker's clock with the ledger's, which decides all times."""
    before = ledger().database.time()
    times = _times(app, count)
    after = ledger().database.time()
    apart = {name: max(at - after, before - at) for name, at in times.items()}
    for name, seconds in sorted(apart.items()):
        if seconds > _MOST_SECONDS_APART:
            way = "ahead of" if times[name] > after else "behind"
            yield warning(
                _SUBJECT,
                f"the clock of {name} is {seconds:.0f} s {way} the ledger's: no job is lost or "
                "done twice because of that, but its log lines have wrong times",
                "synchronise it (NTP)",
            )
    if times and all(seconds <= _MOST_SECONDS_APART for seconds in apart.values()):
        yield ok(_SUBJECT, "their clocks agree with the ledger's")


def _times(app: Celery, count: int) -> dict[str, float]:
    """Return the clock of each of our workers; other applications' workers lack the command."""
    replies = app.control.broadcast(TIME_COMMAND, reply=True, limit=count, timeout=_SECONDS) or []
    return {
        name: one["seconds"]
        for reply in replies
        for name, one in reply.items()
        if isinstance(one, dict) and "seconds" in one
    }
