"""The progress of an export at the provider, checked before its ZIP is retrieved."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import cast

from config.accounts import Account
from config.masking import mask_message
from providers import registry
from providers.errors import NotFound, Uncertain
from providers.interface import ExportProgress, ExportsInBulk, TellsExportProgress
from tasks import errors
from tasks.runtime.context import account, ledger
from tasks.runtime.runner import Attempt, Wait

#: How often neither a status nor a ZIP may be known of an export before it counts as lost: a new
#: one may not be shown at once.
_MOST_UNKNOWN = 3


def refuse_unready(attempt: Attempt, provider: ExportsInBulk, provider_job_id: str) -> None:
    """Raise Wait while the provider makes the export, NotReady if it still does so past the
    deadline, and Rejected if it has given up. Return if the ZIP is ready, or if nothing is known of
    it: then only a retrieval shows whether it is ready.
    """
    found = _query(attempt, provider, provider_job_id)
    if found is None or found.is_ready:
        return
    shown = in_words(_not_backwards(attempt, found))
    if found.has_failed:
        raise errors.Rejected(f"not done: the provider gave up export {provider_job_id}: {shown}")
    reason = f"export {provider_job_id}: not ready yet: {shown}"
    if attempt.past_deadline:
        raise errors.NotReady(f"not done: the deadline passed: {reason}")
    raise Wait(reason, attempt.next_backoff("polls"))


def refuse_lost(attempt: Attempt, provider_job_id: str) -> None:
    """Raise Rejected for an export without a ZIP whose status was unknown several times."""
    if int(attempt.job.work.get("unknown", 0)) >= _MOST_UNKNOWN:
        raise errors.Rejected(
            f"not done: the provider has lost export {provider_job_id}: it is not among the "
            "account's exports, and there is no ZIP of it"
        )


def progress_of(
    found: Account, provider: ExportsInBulk, provider_job_id: str
) -> ExportProgress | None:
    """Return the progress of an export; None if the account's provider does not report it."""
    if not registry.has(found, TellsExportProgress):
        return None
    return cast(TellsExportProgress, provider).progress(provider_job_id)


def in_words(found: ExportProgress) -> str:
    """Return the progress for people: ``4 of 10 files, status in_progress``."""
    words = []
    if found.files_completed is not None:
        of = "" if found.files_total is None else f" of {found.files_total}"
        last = found.files_completed if found.files_total is None else found.files_total
        words.append(f"{found.files_completed}{of} file{'s' * (last != 1)}")
    words.append(f"status {mask_message(found.status)}" if found.status else "no status")
    return ", ".join(words)


def _query(
    attempt: Attempt, provider: ExportsInBulk, provider_job_id: str
) -> ExportProgress | None:
    of = account(attempt.job.account)
    accounts = ledger().accounts
    if accounts.learned(of.alias) == _no_progress(of):
        return None
    work = attempt.job.work
    try:
        found = progress_of(of, provider, provider_job_id)
    except NotFound:
        work["unknown"] = int(work.get("unknown", 0)) + 1
        return None
    except Uncertain:
        # An answer that cannot be read must not keep a ZIP from us that may be ready.
        return None
    work.pop("unknown", None)
    if found is None and registry.has(of, TellsExportProgress):
        accounts.learn(of.alias, _no_progress(of))
    return found


def _not_backwards(attempt: Attempt, found: ExportProgress) -> ExportProgress:
    """Return the progress with the largest count seen so far: a falling count is a mistake."""
    if found.files_completed is None:
        return found
    most = max(found.files_completed, int(attempt.job.work.get("files_completed", 0)))
    attempt.job.work["files_completed"] = most
    return replace(found, files_completed=min(most, found.files_total or most))


def _no_progress(of: Account) -> str:
    """Return what all workers remember of an account whose provider reports no progress. Another
    ``base_url`` is asked again.
    """
    digest = hashlib.sha256(of.base_url.encode()).hexdigest()[:16]
    return f"no export progress at {digest}"
