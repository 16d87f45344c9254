"""``doctor``: examine all parts of a deployment, and say what the findings mean and what to do."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import Any

import click

from config.masking import masked_error
from worker.commands.deployment import configured
from worker.commands.display import console, plain, print_json
from worker.commands.options import as_json
from worker.short_secrets import ADVICE, MEANING

from . import (
    accounts,
    beat,
    files,
    hooks,
    ledger,
    providers,
    redis,
    storage,
    work,
    workers,
)
from .findings import UNKNOWN, Finding, error, ok, warning

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Examine settings, ledger, archive, spool, Redis, workers, providers and unfinished work.

    Doctor writes one file in the archive and one in the spool and removes them again, and renews
    the expired token of an account. It changes nothing else. The status is 1 if there is an error.
    """
    found = []
    for finding in _findings():
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([asdict(finding) for finding in found])
    return int(any(finding.level == "error" for finding in found))


def _findings() -> Iterator[Finding]:
    settings = configured()
    yield ok("settings", f"accounts: {', '.join(sorted(settings.accounts)) or 'none'}")
    for name in settings.short_secrets():
        yield warning("secrets", f"{name} is {MEANING}", ADVICE)
    yield from _guarded("files", files.examined(settings))
    identity = yield from _guarded("ledger", ledger.examined())
    yield from _guarded("archive", storage.archive(settings, identity))
    yield from _guarded("spool", storage.spool(settings))
    yield from _guarded("redis", redis.examined(settings, identity))
    yield from _guarded("workers", workers.examined(identity))
    yield from _guarded("hooks", hooks.examined(settings))
    yield from _guarded("providers", providers.clocks(settings))
    if identity not in (None, UNKNOWN):
        yield from _guarded("accounts", accounts.examined(settings))
        yield from _guarded("beat", beat.examined(settings))
        yield from _guarded("jobs", work.examined(settings))


def _guarded(subject: str, found: Iterator[Finding]) -> Generator[Finding, None, Any]:
    """Yield an examination's findings, and its failure as one, so that the others still run."""
    try:
        return (yield from found)
    except Exception as failure:  # noqa: BLE001 - reported as a finding
        why = masked_error(failure).splitlines()[0]
        advice = "run doctor as a user who may read and write the same files as the workers"
        yield error(subject, f"not examined to the end: {why}", advice)
        return UNKNOWN


def _print(finding: Finding) -> None:
    shown = console()
    advice = f" -> {finding.advice}" if finding.advice else ""
    shown.print(f"{finding.level:<8}", style=_STYLES[finding.level], end="")
    shown.print(plain(f"{finding.subject}: {finding.meaning}{advice}"))
