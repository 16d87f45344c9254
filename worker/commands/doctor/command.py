"""``doctor``: everything that a deployment stands on, examined; what it means, and what to do."""

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

from . import accounts, beat, files, hooks, ledger, providers, redis, storage, work, workers
from .findings import UNKNOWN, Finding, error, ok, warning

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Examine settings, ledger, archive, spool, Redis, workers, providers and what is left undone.

    Nothing is changed but for a file in the archive and one in the spool, which are removed again,
    and the token of an account, which is renewed where it has ended.
    The status is 1 where something is an error.
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
    yield from _to_the_end("files", files.examined(settings))
    identity = yield from _to_the_end("ledger", ledger.examined())
    yield from _to_the_end("archive", storage.archive(settings, identity))
    yield from _to_the_end("spool", storage.spool(settings))
    yield from _to_the_end("redis", redis.examined(settings, identity))
    yield from _to_the_end("workers", workers.examined(identity))
    yield from _to_the_end("hooks", hooks.examined(settings))
    yield from _to_the_end("providers", providers.clocks(settings))
    if identity not in (None, UNKNOWN):
        yield from _to_the_end("accounts", accounts.examined(settings))
        yield from _to_the_end("beat", beat.examined(settings))
        yield from _to_the_end("jobs", work.examined(settings))


def _to_the_end(subject: str, found: Iterator[Finding]) -> Generator[Finding, None, Any]:
    """What is found, and where that ends early, why: one thing that is broken hides no other."""
    try:
        return (yield from found)
    except Exception as failure:  # noqa: BLE001 - told
        why = masked_error(failure).splitlines()[0]
        advice = "see that who asks may read and write what the workers do, and ask again"
        yield error(subject, f"not examined to the end: {why}", advice)
        return UNKNOWN


def _print(finding: Finding) -> None:
    shown = console()
    advice = f" -> {finding.advice}" if finding.advice else ""
    shown.print(f"{finding.level:<8}", style=_STYLES[finding.level], end="")
    shown.print(plain(f"{finding.subject}: {finding.meaning}{advice}"))
