"""Accounts that were corrected: their jobs, which waited for that, are tried at once.

A worker does this after a reload, for the accounts that the reload changed or added. A worker that
starts cannot compare accounts of now with those of before. So an attempt whose credentials were
refused notes a fingerprint of the account, and a worker that starts compares its own with it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable

from config.fingerprints import of_account
from config.settings import settings
from ledger.core.held import ACCOUNT, CREDENTIALS, REFUSED_ACCOUNT
from ledger.core.pauses import REFUSED_CREDENTIALS
from ledger.errors import LedgerError

from .background import Background
from .context import account, ledger
from .runner import Attempt

_log = logging.getLogger(__name__)

#: How many refusals of an account are compared with it. One would do, unless a worker with an
#: earlier account was refused last. Each comparison costs time, so that nobody can try passwords.
_MOST_COMPARED = 3


def note_refused(attempt: Attempt) -> None:
    """Note in the job's work with which account the provider refused the credentials."""
    salt = uuid.uuid4().hex[:8]
    fingerprint = of_account(settings(), account(attempt.job.account), salt)
    attempt.job.work[REFUSED_ACCOUNT] = {"salt": salt, "fingerprint": fingerprint}


def was_corrected(attempt: Attempt) -> bool:
    """Return whether the attempt's account has been read anew, with a change, since it began."""
    alias = attempt.job.account
    return account(alias) != settings().accounts.get(alias)


def try_again(aliases: Iterable[str]) -> None:
    """Let the jobs that wait for these accounts be tried at once, and end the pauses that refused
    credentials began. A pause for which a provider asked goes on. Raises LedgerAway.
    """
    for alias in aliases:
        ledger().accounts.resume(alias, because=REFUSED_CREDENTIALS)
        if count := ledger().held_jobs.hasten(alias):
            _log.warning(
                "account %s has changed; jobs that waited for that are tried now: %d", alias, count
            )


def begin_to_try_again(aliases: Iterable[str]) -> None:
    """Do the same in a thread of its own, since the ledger may hang."""
    changed = tuple(aliases)
    if changed:
        Background(lambda: _attempt(changed), "corrected-accounts")


def try_again_after_start() -> None:
    """Do the same for the accounts that have changed since jobs began to wait for them.

    An account whose secrets cannot be compared is tried, too. Raises LedgerAway.
    """
    waiting = {
        (one.obstacle, one.account)
        for one in ledger().held_jobs.held()
        if one.account in settings().accounts
    }
    try_again(sorted(alias for by, alias in waiting if by == ACCOUNT))
    try_again(sorted(alias for by, alias in waiting if by == CREDENTIALS and _has_changed(alias)))


def _attempt(aliases: Iterable[str]) -> None:
    try:
        try_again(aliases)
    except LedgerError as error:
        _log.warning("jobs that wait for a corrected account are tried later: %s", error)


def _has_changed(alias: str) -> bool:
    notes = ledger().held_jobs.refusals(alias, most=_MOST_COMPARED)
    return not any(_is_of_now(alias, note) for note in notes if isinstance(note, dict))


def _is_of_now(alias: str, note: dict[str, str | None]) -> bool:
    salt, fingerprint = note.get("salt"), note.get("fingerprint")
    now = settings().accounts[alias]
    return bool(salt and fingerprint) and of_account(settings(), now, str(salt)) == fingerprint
