"""``doctor``: examine all parts of a deployment, and say what the findings mean and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import click

from config.accounts import Account
from config.settings import Settings
from worker.commands.deployment import configured
from worker.commands.display import console, plain, print_json
from worker.commands.options import as_json
from worker.short_secrets import ADVICE, MEANING

from . import accounts, beat, files, hooks, ledger, providers, redis, storage, work, workers
from .examination import Alive, Examination, yield_to
from .findings import UNKNOWN, Finding, ok, warning

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command()
@as_json
def doctor(as_json: bool) -> int:
    """Examine settings, ledger, archive, spool, Redis, workers, providers and unfinished work.

    Doctor writes one file to the archive and one to the spool and removes them again, and renews an
    account's token if it has expired. While every slot is in use, it also notes in Redis which
    message of a queue is the oldest. It changes nothing else. The status is 1 if there is an error.
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
    """Yield all findings. What does not depend on each other is examined at the same time, since
    each examination may have to wait for something that hangs.
    """
    settings = configured()
    yield ok("settings", f"accounts: {', '.join(sorted(settings.accounts)) or 'none'}")
    for name in settings.short_secrets():
        yield warning("secrets", f"{name} is {MEANING}", ADVICE)
    of_files = Examination("files", lambda _: files.examined(settings))
    of_ledger = Examination("ledger", lambda _: ledger.examined())
    found: list[Finding] = []
    identity = yield_to(of_ledger.findings(), found.append)
    the_rest = list(_of_the_rest(settings, identity))
    yield from of_files.findings()
    yield from found
    for one in the_rest:
        yield from one.findings()


def _of_the_rest(settings: Settings, identity: Any) -> Iterator[Examination]:
    """Begin all examinations that the ledger's identity is compared with."""
    is_known = identity not in (None, UNKNOWN)
    yield Examination("archive", lambda alive: storage.archive(settings, identity, alive))
    yield Examination("spool", lambda _: storage.spool(settings))
    yield Examination("redis", lambda _: redis.examined(settings, identity))
    yield Examination("workers", lambda _: workers.examined(settings, identity))
    yield Examination("hooks", lambda _: hooks.examined(settings))
    for account in providers.addressed(settings):
        yield Examination(providers.subject(account), partial(_clock, account))
    if not is_known:
        return
    for alias in sorted(settings.accounts):
        yield Examination(f"account {alias}", partial(_account, settings.accounts[alias]))
    yield Examination("beat", lambda _: beat.examined(settings))
    yield Examination("jobs", lambda _: work.examined(settings))
    yield Examination("restored", lambda _: work.restored())


def _clock(account: Account, _alive: Alive) -> Iterator[Finding]:
    yield providers.clock(account)


def _account(account: Account, _alive: Alive) -> Iterator[Finding]:
    yield from accounts.examined(account)


def _print(finding: Finding) -> None:
    shown = console()
    advice = f" -> {finding.advice}" if finding.advice else ""
    shown.print(f"{finding.level:<8}", style=_STYLES[finding.level], end="")
    shown.print(plain(f"{finding.subject}: {finding.meaning}{advice}"))
