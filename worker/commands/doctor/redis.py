"""``doctor`` on Redis: connection, permissions, persistence, memory and ownership."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from config.queues import DOWNLOADS, DUE, FRONT_DOOR, SET_ASIDE, UNACKED, UNACKED_INDEX
from config.sentinels import is_sentinel
from config.settings import Settings
from worker.redis.connecting import connected
from worker.redis.diagnosis import diagnose
from worker.redis.misdirected import explain, in_other_databases, in_our_database
from worker.redis.set_aside import COMMAND, SetAside, SetAsideMessage, summary
from worker.startup_checks import REDIS_KEY, REDIS_WAY_OUT

from . import sentinels
from .findings import UNKNOWN, Finding, error, ok, warning

_SUBJECT = "redis"
_SECONDS = 3.0
#: The first version with LMOVE and the other commands that kombu uses.
_OLDEST = (6, 2)
_NEARLY_FULL = 0.8


def examined(settings: Settings, identity: str | None) -> Iterator[Finding]:
    """Examine Redis without changing anything there."""
    url = settings.redis_url.get_secret_value()
    yield from sentinels.examined(settings)
    try:
        with connected(
            settings, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        ) as client:
            client.ping()
            facts = _facts(client)
            theirs = client.get(settings.redis_key(REDIS_KEY))
            refused = _refused(client, settings)
            set_aside = _set_aside_messages(client, settings)
    except (RedisError, OSError) as failure:
        meaning, advice = diagnose(failure)
        waits = "accepted jobs wait in the ledger, and nothing is accepted"
        yield error(_SUBJECT, f"{meaning}: {waits}", advice)
        return
    if "ssl_cert_reqs=none" in url:
        yield warning(
            _SUBJECT,
            "its certificate is not checked: an attacker in between can read and change everything",
            "set ssl_ca_certs in EARWITNESS_REDIS_URL to its CA, and remove ssl_cert_reqs=none",
        )
    yield from _permissions(refused)
    yield from _misdirected(settings)
    yield from _server(facts)
    if is_sentinel(url) and facts is not None:
        yield from sentinels.replication(facts)
    yield from _belonging(theirs, identity, settings)
    if set_aside:
        advice = f"correct their sender; {COMMAND} lists, removes and puts back"
        yield warning("messages", summary(set_aside), advice)


def _misdirected(settings: Settings) -> Iterator[Finding]:
    """Find our tasks in places that no worker consumes."""
    prefix = settings.redis_key("")
    try:
        with connected(
            settings,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            single_connection_client=True,
        ) as client:
            found = [*in_our_database(client, prefix), *in_other_databases(client, prefix)]
    except NoPermissionError:
        meaning = "its user may not look for tasks that were sent to another queue or database"
        yield ok(_SUBJECT, f"{meaning} (docs/redis.md has its rule)")
        return
    except (RedisError, OSError) as failure:
        meaning, advice = diagnose(failure)
        yield warning(_SUBJECT, f"{meaning}: the search for misdirected tasks failed", advice)
        return
    for one in found:
        yield warning(_SUBJECT, *explain(one))


def _facts(client: Redis) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = client.info()
    except NoPermissionError:
        return None
    return facts


def _refused(client: Redis, settings: Settings) -> list[str]:
    """Return a worker's commands that our user may not run; try them on keys that do not exist."""
    nobody = str(uuid.uuid4())
    trials = [
        *(("LLEN", settings.redis_key(queue)) for queue in (FRONT_DOOR, DUE, DOWNLOADS)),
        ("HDEL", settings.redis_key(UNACKED), nobody),
        ("ZREM", settings.redis_key(UNACKED_INDEX), nobody),
        ("HDEL", settings.redis_key(SET_ASIDE), nobody),
        ("SREM", settings.redis_key(f"_kombu.binding.{FRONT_DOOR}"), nobody),
        ("DEL", settings.redis_key(f"celery-task-meta-{nobody}")),
        ("PUBLISH", settings.redis_key(f"celery-task-meta-{nobody}"), ""),
        ("TIME",),
    ]
    refused = []
    for trial in trials:
        try:
            client.execute_command(*trial)
        except NoPermissionError:
            refused.append(" ".join(trial[:2]).replace(nobody, "..."))
    return refused


def _set_aside_messages(client: Redis, settings: Settings) -> list[SetAsideMessage]:
    try:
        return SetAside(client, settings.redis_key("")).messages()
    except NoPermissionError:
        return []  # another finding names what is refused


def _permissions(refused: list[str]) -> Iterator[Finding]:
    if refused:
        yield error(
            _SUBJECT,
            f"its user may not do what a worker does: {', '.join(refused)}",
            "give it the rule of docs/redis.md (ACL SETUSER), and see ACL LOG",
        )


def _server(facts: dict[str, Any] | None) -> Iterator[Finding]:
    if facts is None:
        yield warning(
            _SUBJECT,
            "its user may not run INFO: it is unknown whether messages survive a restart",
            "give it +info (docs/redis.md)",
        )
        return
    version = str(facts.get("redis_version", "0"))
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _OLDEST:
        yield error(_SUBJECT, f"version {version} is older than 6.2", "use Redis 6.2 or Valkey")
    else:
        yield ok(_SUBJECT, f"answers, version {facts.get('valkey_version', version)}")
    yield from _persistence(facts)
    yield from _memory(facts)


def _persistence(facts: dict[str, Any]) -> Iterator[Finding]:
    if not facts.get("aof_enabled"):
        yield warning(
            _SUBJECT,
            "keeps no append-only file: tasks that are not yet accepted are lost with it",
            "set appendonly yes",
        )
    elif facts.get("aof_last_write_status") == "err":
        yield error(
            _SUBJECT,
            "cannot write its append-only file: it accepts no more messages",
            "check its log and the free space on its disk",
        )


def _memory(facts: dict[str, Any]) -> Iterator[Finding]:
    policy = facts.get("maxmemory_policy")
    if policy != "noeviction":
        yield warning(
            _SUBJECT,
            f"evicts keys, tasks included, when its memory is full ({policy})",
            "set maxmemory-policy noeviction",
        )
    limit, used = int(facts.get("maxmemory") or 0), int(facts.get("used_memory") or 0)
    if limit and used > _NEARLY_FULL * limit:
        yield warning(
            _SUBJECT,
            f"{used / limit:.0%} of its memory is used: when it is full, no messages are accepted",
            "raise maxmemory, and see what fills it: redis-cli --bigkeys",
        )


def _belonging(theirs: Any, identity: str | None, settings: Settings) -> Iterator[Finding]:
    if theirs is None:
        yield ok(_SUBJECT, "no deployment has claimed this database yet; the first worker does")
    elif identity not in (UNKNOWN, theirs.decode()):
        key = settings.redis_key(REDIS_KEY)
        where = f"under the prefix {settings.redis_key('')}" if settings.redis_key("") else ""
        yield error(
            _SUBJECT,
            f"this database {where}".rstrip()
            + f" belongs to ledger {theirs.decode()}, not to ours; no worker starts",
            REDIS_WAY_OUT.format(key=key),
        )
