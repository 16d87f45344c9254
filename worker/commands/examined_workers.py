"""``doctor`` on the workers: every queue consumed, one ledger for all hosts, clocks together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR
from tasks.resources import ledger

from ..clock import ASKED
from ..redis_trouble import trouble
from .deployment import announcing
from .findings import UNKNOWN, Finding, error, ok, warning

_SUBJECT = "workers"
_SECONDS = 3.0
_MOST_SECONDS_APART = 30.0
_PURPOSE = {
    FRONT_DOOR: "no task is accepted",
    DUE: "no job is taken up and nobody is answered",
    DOWNLOADS: "nothing is downloaded",
}


def examined(identity: str | None) -> Iterator[Finding]:
    """What there is to say of the workers; without a ledger nothing of their clocks."""
    try:
        with announcing() as app:
            answers = app.control.inspect(timeout=_SECONDS).active_queues() or {}
            yield from _consumers(answers)
            if answers and identity not in (None, UNKNOWN):
                yield from _hosts(sorted(answers))
                yield from _clocks(app, len(answers))
    except (OperationalError, RedisError, OSError) as failure:
        meaning, advice = trouble(failure)
        yield error(_SUBJECT, f"could not be asked: Redis {meaning}", advice)


def _consumers(answers: dict[str, list[dict[str, Any]]]) -> Iterator[Finding]:
    consumers: dict[str, list[str]] = {queue: [] for queue in _PURPOSE}
    for worker, consumed in answers.items():
        for one in consumed:
            consumers.setdefault(one["name"], []).append(worker)
    for queue, meaning in _PURPOSE.items():
        if consumers[queue]:
            yield ok(_SUBJECT, f"{queue} is consumed by {', '.join(sorted(consumers[queue]))}")
        else:
            advice = "start one: celery -A worker worker"
            yield error(_SUBJECT, f"none consumes {queue}: {meaning}", advice)


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
    """Compare each worker's clock with the ledger's, which everything goes by."""
    before = ledger().database.time()
    replies = app.control.broadcast(ASKED, reply=True, limit=count, timeout=_SECONDS) or []
    after = ledger().database.time()
    told = {name: one["seconds"] for reply in replies for name, one in reply.items()}
    apart = {name: max(at - after, before - at) for name, at in told.items()}
    for name, seconds in sorted(apart.items()):
        if seconds > _MOST_SECONDS_APART:
            way = "ahead of" if told[name] > after else "behind"
            yield warning(
                _SUBJECT,
                f"the clock of {name} is {seconds:.0f} s {way} the ledger's: no job is lost or "
                "done twice by it, but its log lines tell a wrong time",
                "synchronise it (NTP)",
            )
    if told and all(seconds <= _MOST_SECONDS_APART for seconds in apart.values()):
        yield ok(_SUBJECT, "their clocks agree with the ledger's")
