"""``doctor`` on the workers: all queues consumed, unique names, one ledger, clocks in step."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.queues import LISTENING
from config.settings import Settings
from ledger.errors import LedgerError
from tasks.runtime.context import ledger
from worker.commands.publisher import announcing
from worker.control_names import STATE_COMMAND
from worker.health.clock import TIME_COMMAND
from worker.health.heartbeat_files import DRAINING, WORKING, Mark, marks
from worker.health.judgement import WITHIN_SECONDS
from worker.redis.connecting import connected
from worker.redis.diagnosis import diagnose
from worker.redis.presence import WITHOUT_CONSUMER

from . import configuration, slots
from .findings import CHECK_LEDGER, UNKNOWN, Finding, error, ok, warning

_SUBJECT = "workers"
_SECONDS = 3.0
_MOST_SECONDS_APART = 30.0


def examined(settings: Settings, identity: str | None) -> Iterator[Finding]:
    """Examine the workers; compare their clocks only if there is a ledger."""
    try:
        with announcing() as app:
            replies = app.control.broadcast("active_queues", reply=True, timeout=_SECONDS) or []
            answers = {name: one for reply in replies for name, one in reply.items()}
            states = _states(app, len(replies))
            drained = sorted(name for name, one in states.items() if one["phase"] == DRAINING)
            lacking = WITHOUT_CONSUMER.keys() - {
                one["name"] for consumed in answers.values() for one in consumed
            }
            reconnecting = list(_reconnecting(settings, answers)) if lacking else []
            lately = _consumed_lately(settings, lacking)
            yield from _consumers(answers, drained, reconnecting, lately)
            yield from _drained(drained, states)
            yield from _late(states)
            yield from _duplicate_names([name for reply in replies for name in reply])
            if replies:
                yield from _misconsumers(answers, _times(app, len(replies)).keys())
            has_ledger = identity not in (None, UNKNOWN)
            yield from configuration.examined(app, len(answers), has_ledger=has_ledger)
            if answers and has_ledger:
                yield from _hosts(sorted(answers))
                yield from _clocks(app, len(answers))
            yield from slots.examined(answers, states, has_ledger=has_ledger)
    except (OperationalError, RedisError, OSError) as failure:
        meaning, advice = diagnose(failure)
        yield error(_SUBJECT, f"could not be reached: Redis {meaning}", advice)


def _consumers(
    answers: dict[str, list[dict[str, Any]]],
    drained: Collection[str],
    reconnecting: Collection[Mark],
    lately: Collection[str],
) -> Iterator[Finding]:
    consumers: dict[str, list[str]] = {queue: [] for queue in WITHOUT_CONSUMER}
    for worker, consumed in answers.items():
        for one in consumed:
            consumers.setdefault(one["name"], []).append(worker)
    for queue, meaning in WITHOUT_CONSUMER.items():
        back = sorted(mark.node for mark in reconnecting if queue in mark.queues)
        if consumers[queue]:
            yield ok(_SUBJECT, f"{queue} is consumed by {', '.join(sorted(consumers[queue]))}")
        elif back:
            yield warning(
                _SUBJECT,
                f"{queue} is not consumed yet: {', '.join(back)} reconnecting to Redis",
                "wait: a worker tries again within seconds; if this lasts for a minute, see its "
                "log",
            )
        elif drained:
            yield error(
                _SUBJECT,
                f"no worker consumes {queue}: {meaning}; drained: {', '.join(drained)}",
                f"return one to work: earwitness undrain --node {min(drained)}",
            )
        elif queue in lately:
            yield error(
                _SUBJECT,
                f"no worker consumes {queue} now: {meaning}; one did within the last minute, and "
                "has ended or is reconnecting to Redis",
                "check that it is running; if not, start one: celery -A worker worker",
            )
        else:
            advice = "start one: celery -A worker worker"
            yield error(_SUBJECT, f"no worker consumes {queue}: {meaning}", advice)


def _reconnecting(settings: Settings, answers: Collection[str]) -> Iterator[Mark]:
    """Yield the living workers of this host that did not answer.

    They lost Redis and connect again: their marks in the spool show that they live.
    """
    now = time.monotonic()
    for mark in marks(settings.spool_dir):
        lives = 0 <= now - mark.at <= WITHIN_SECONDS and mark.phase == WORKING
        here = mark.kind == "worker" and mark.host == socket.gethostname()
        if lives and here and mark.node not in answers:
            yield mark


def _consumed_lately(settings: Settings, queues: Iterable[str]) -> set[str]:
    """Return the queues that a worker, on any host, consumed within the last minute."""
    names = sorted(queues)
    if not names:
        return set()
    with connected(
        settings,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
    ) as client:
        values: Any = client.mget([settings.redis_key(LISTENING + name) for name in names])
    return {name for name, value in zip(names, values, strict=True) if value is not None}


def _drained(drained: Iterable[str], states: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    for name in drained:
        left = states[name]["in_hand"]
        meaning = f"{name} is drained and takes no work" + (f"; in hand: {left}" if left else "")
        yield warning(_SUBJECT, meaning, f"to resume: earwitness undrain --node {name}")


def _late(states: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Report what workers wait for."""
    for name, one in sorted(states.items()):
        for loop, needs, seconds in one["late"]:
            yield warning(
                _SUBJECT,
                f"{needs} has kept {name} waiting for {seconds} s (its loop '{loop}'): it hangs or "
                "is slow; all other work continues",
                "see what doctor says about it; the loop continues by itself",
            )


def _states(app: Celery, count: int) -> dict[str, dict[str, Any]]:
    """Return the states of our workers; earlier releases and other applications have none."""
    if not count:
        return {}
    replies = app.control.broadcast(STATE_COMMAND, reply=True, limit=count, timeout=_SECONDS) or []
    return {name: one for reply in replies for name, one in reply.items() if "phase" in (one or {})}


def _duplicate_names(names: list[str]) -> Iterator[Finding]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield warning(
            _SUBJECT,
            f"{names.count(name)} of them are called {name}: Flower, health and remote control "
            "cannot tell them apart",
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
            f"they run on {', '.join(hosts)}, and SQLite's locks work on one host only: the ledger "
            "can be damaged, and a call can be paid for twice",
            "move the ledger to PostgreSQL (docs/hosts.md), or run every worker on one host",
        )


def _clocks(app: Celery, count: int) -> Iterator[Finding]:
    """Compare each worker's clock with the ledger's, which decides all times."""
    try:
        before = ledger().database.time()
        times = _times(app, count)
        after = ledger().database.time()
    except LedgerError as failure:
        yield warning(
            _SUBJECT,
            f"their clocks could not be compared with the ledger's: {failure}",
            CHECK_LEDGER,
        )
        return
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
