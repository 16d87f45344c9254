"""``doctor`` on the sentinels of Redis: the master, who answers, and what a failover may lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from config import sentinels
from config.settings import Settings
from worker.redis.diagnosis import diagnose

from .findings import Finding, error, ok, warning

_SUBJECT = "sentinel"
_ADDRESS = "EARWITNESS_REDIS_URL"


def examined(settings: Settings) -> Iterator[Finding]:
    """Ask every sentinel of the address for the master, without changing anything."""
    url = settings.redis_url.get_secret_value()
    if not sentinels.is_sentinel(url):
        return
    named = sentinels.read(url)
    with ThreadPoolExecutor(len(named.hosts)) as threads:
        answers = dict(
            zip(
                named.hosts,
                threads.map(lambda host: _answer(named, *host), named.hosts),
                strict=True,
            )
        )
    known = {host: one for host, one in answers.items() if not isinstance(one, Exception)}
    for host, one in answers.items():
        if isinstance(one, Exception):
            yield _unanswered(host, one, named.master_name, is_only=not known)
    if known:
        yield from _master(known, named)


def replication(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what a failover may lose, by what Redis says of itself (INFO)."""
    meaning = "replication is asynchronous: a failover may lose the newest tasks and results"
    repeat = "producers must send unanswered requests again under the same id"
    if "min_slaves_good_slaves" in facts:  # Redis names it only if it has such a minimum
        yield ok(_SUBJECT, f"{meaning}; {repeat}")
        return
    yield warning(
        _SUBJECT,
        f"{meaning}, and a master that is cut off accepts tasks that are then lost",
        "with two replicas or more, set min-replicas-to-write 1 and min-replicas-max-lag 10; "
        f"{repeat} (docs/redis.md)",
    )


def _answer(named: sentinels.Sentinels, host: str, port: int) -> dict[str, Any] | RedisError:
    with closing(Redis(host=host, port=port, **named.connection_options)) as sentinel:
        try:
            state: Any = sentinel.sentinel_master(named.master_name)
        except (RedisError, OSError) as failure:
            return failure if isinstance(failure, RedisError) else RedisError(str(failure))
    return dict(state)


def _unanswered(host: tuple[str, int], failure: RedisError, name: str, *, is_only: bool) -> Finding:
    place = _place(*host)
    if isinstance(failure, ResponseError) and "No such" in str(failure):
        meaning = f"the sentinel {place} knows no master called {name}"
        advice = f"correct master_name in {_ADDRESS}, or have it monitor {name}"
    else:
        diagnosis = diagnose(failure)
        meaning = f"the sentinel {place}: {diagnosis.meaning}"
        advice = diagnosis.advice
    return (error if is_only else warning)(_SUBJECT, meaning, advice)


def _master(
    known: Mapping[tuple[str, int], Mapping[str, Any]], named: sentinels.Sentinels
) -> Iterator[Finding]:
    masters = sorted({_place(str(one["ip"]), int(one["port"])) for one in known.values()})
    quorum = max(int(one["quorum"]) for one in known.values())
    in_all = max(int(one["num-other-sentinels"]) for one in known.values()) + 1
    hosts = len(named.hosts)
    count = f"{len(known)} of {hosts} sentinel{'s' * (hosts != 1)}"
    count += " answers" if len(known) == 1 else " answer"
    if len(masters) > 1:
        yield warning(
            _SUBJECT,
            f"they name different masters of {named.master_name}: {', '.join(masters)}",
            "look again in ten seconds; if they still differ, see the sentinels' logs",
        )
    else:
        meaning = f"{masters[0]} is the master of {named.master_name}; {count}, quorum {quorum}"
        yield ok(_SUBJECT, meaning)
    needed = max(quorum, in_all // 2 + 1)
    if len(known) < min(needed, hosts):
        yield warning(
            _SUBJECT,
            f"{count}, and a failover needs {needed} (quorum {quorum}, a majority of {in_all}): "
            "if the master fails now, it may not be replaced",
            "start the others",
        )
    if hosts < in_all:
        are = "that one is" if hosts == 1 else "those are"
        yield warning(
            _SUBJECT,
            f"{_ADDRESS} names {hosts} of {in_all} sentinels: while {are} away, no process finds "
            "the master",
            "name them all",
        )
    if not any(int(one["num-slaves"]) for one in known.values()):
        yield warning(
            _SUBJECT,
            f"{named.master_name} has no replica: nothing can take over from it",
            "start a replica (replicaof)",
        )


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
