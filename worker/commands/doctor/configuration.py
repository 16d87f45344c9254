"""``doctor`` on the configuration: the same accounts, settings and version on every worker."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from celery import Celery

from config.fingerprints import aliases, differences, fingerprints
from config.settings import settings
from ledger.core import states
from ledger.errors import LedgerError
from tasks.runtime.context import ledger
from worker.health.configuration import CONFIGURATION_COMMAND

from .findings import CHECK_LEDGER, Finding, error, ok, warning

_SUBJECT = "configuration"
_SECONDS = 3.0
_MAX_NAMED = 8
_ADVICE = (
    "make its accounts file, .env and secrets match this host's; for accounts run: "
    "earwitness reload; for anything else restart it"
)


def examined(app: Celery, count: int, *, has_ledger: bool) -> Iterator[Finding]:
    """Compare the configuration of ``count`` workers with this host's, and the ledger's open jobs
    with both.
    """
    salt = secrets.token_hex(16)
    ours, answers = fingerprints(settings(), salt), _asked(app, count, salt)
    if answers:
        yield from _compared(ours, answers)
    if has_ledger:
        yield from _orphans(
            {alias for found in (ours, *answers.values()) for alias in aliases(found)}
        )


def _asked(app: Celery, count: int, salt: str) -> dict[str, dict[str, str]]:
    """Return the workers' fingerprints by node name; other workers lack the command."""
    if not count:
        return {}
    replies = app.control.broadcast(
        CONFIGURATION_COMMAND,
        arguments={"salt": salt},
        reply=True,
        limit=count,
        timeout=_SECONDS,
    )
    return {
        name: one["fingerprints"]
        for reply in replies or []
        for name, one in reply.items()
        if isinstance(one, dict) and "fingerprints" in one
    }


def _compared(ours: dict[str, str], answers: dict[str, dict[str, str]]) -> Iterator[Finding]:
    different = {name: _named(ours, answers[name]) for name in sorted(answers)}
    for name, named in different.items():
        if named:
            yield warning(_SUBJECT, f"{name} differs from this host: {named}", _ADVICE)
    if not any(different.values()):
        have = "has" if len(different) == 1 else "have"
        yield ok(
            _SUBJECT, f"{', '.join(different)} {have} this host's accounts, settings and version"
        )


def _named(ours: dict[str, str], theirs: dict[str, str]) -> str:
    if ours["version"] != theirs["version"]:
        return f"version {theirs['version']}, not {ours['version']}"
    found = differences(ours, theirs)
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    return ", ".join(found[:_MAX_NAMED]) + more


def _orphans(known: set[str]) -> Iterator[Finding]:
    """Find open jobs of accounts that neither this host nor any worker knows."""
    orphans: dict[str, int] = {}
    try:
        rows = ledger().stats(patience_seconds=_SECONDS).jobs
    except LedgerError as failure:
        yield warning(
            _SUBJECT,
            f"whether open jobs belong to accounts that no worker knows is unknown: {failure}",
            CHECK_LEDGER,
        )
        return
    for row in rows:
        if row.state in states.OPEN and row.account not in known:
            orphans[row.account] = orphans.get(row.account, 0) + int(row.jobs)
    for alias, count in sorted(orphans.items()):
        belong, wait = f"{count} open jobs belong", "they wait"
        if count == 1:
            belong, wait = "1 open job belongs", "it waits"
        yield error(
            _SUBJECT,
            f"{belong} to account {alias}, which no worker knows: {wait}",
            "put the account back into the accounts file and reload the workers, or cancel the "
            "jobs: earwitness cancel JOB (earwitness status shows them)",
        )
