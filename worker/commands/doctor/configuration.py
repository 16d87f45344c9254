"""``doctor`` on the configuration: the same accounts, settings and version on every worker."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.fingerprints import differences, fingerprints
from config.settings import Settings
from ledger.core import states
from tasks.runtime.context import ledger
from worker.commands.publisher import announcing
from worker.health.clock import TIME_COMMAND
from worker.health.configuration import CONFIGURATION_COMMAND

from .findings import UNKNOWN, Finding, error, ok, warning

_SUBJECT = "configuration"
_SECONDS = 3.0
_MAX_NAMED = 8
_ADVICE = (
    "make its accounts file, .env and secrets equal to this host's; for accounts run: python -m "
    "worker reload; for anything else restart it"
)


def examined(settings: Settings, identity: str | None) -> Iterator[Finding]:
    """Compare each worker's configuration with this host's, and the ledger's jobs with both."""
    salt = secrets.token_hex(16)
    try:
        ours, answers = fingerprints(settings, salt), _asked(salt)
    except (OperationalError, RedisError, OSError):
        return  # the examination of Redis reports it
    if answers:
        yield from _compared(ours, answers)
    if identity not in (None, UNKNOWN):
        known = {alias for found in (ours, *answers.values()) for alias in _aliases(found or {})}
        yield from _orphans(known)


def _asked(salt: str) -> dict[str, dict[str, str] | None]:
    """Return the workers' fingerprints by node name; None for a worker of another version."""
    with announcing() as app:
        times = app.control.broadcast(TIME_COMMAND, reply=True, timeout=_SECONDS) or []
        ours = {
            name
            for reply in times
            for name, one in reply.items()
            if isinstance(one, dict) and "seconds" in one
        }
        if not ours:
            return {}
        replies = app.control.broadcast(
            CONFIGURATION_COMMAND,
            arguments={"salt": salt},
            reply=True,
            limit=len(ours),
            timeout=_SECONDS,
        )
    found = {name: one for reply in replies or [] for name, one in reply.items()}
    return {name: (found.get(name) or {}).get("fingerprints") for name in sorted(ours)}


def _compared(ours: dict[str, str], answers: dict[str, dict[str, str] | None]) -> Iterator[Finding]:
    different = {name: _named(ours, theirs) for name, theirs in answers.items()}
    for name, named in different.items():
        if named:
            yield warning(_SUBJECT, f"{name} differs from this host: {named}", _ADVICE)
    if not any(different.values()):
        yield ok(_SUBJECT, f"{', '.join(answers)} have this host's accounts, settings and version")


def _named(ours: dict[str, str], theirs: dict[str, str] | None) -> str:
    if theirs is None:
        return "it runs a version that does not tell its configuration"
    if ours["version"] != theirs["version"]:
        return f"version {theirs['version']}, not {ours['version']}"
    found = differences(ours, theirs)
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    return ", ".join(found[:_MAX_NAMED]) + more


def _aliases(found: dict[str, str]) -> set[str]:
    return {name.split(".")[1] for name in found if name.startswith("accounts.")}


def _orphans(known: set[str]) -> Iterator[Finding]:
    """Find open jobs of accounts that neither this host nor any worker knows."""
    orphans: dict[str, int] = {}
    for row in ledger().stats(patience_seconds=_SECONDS).jobs:
        if row.state in states.OPEN and row.account not in known:
            orphans[row.account] = orphans.get(row.account, 0) + int(row.jobs)
    for alias, count in sorted(orphans.items()):
        yield error(
            _SUBJECT,
            f"{count} open jobs are of account {alias}, which no worker knows: they wait",
            "put the account back into the accounts file and reload the workers, or cancel the "
            "jobs: python -m worker cancel JOB (python -m worker status shows them)",
        )
