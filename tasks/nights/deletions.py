"""Deletions at the provider: the recordings of archived days that are old enough."""

from __future__ import annotations

from datetime import datetime

from archive.documents import manifest
from archive.documents.manifest import Manifest
from config.accounts import Account
from ledger.days import Day
from tasks.archive_watch.chained import is_chained
from tasks.days import deletions
from tasks.runtime.context import ledger, store
from tasks.runtime.messages import publish_first

_DAY_SECONDS = 86_400
#: Days that one plan opens for an account; the next plan continues. After years of keeping, all of
#: them are due at once.
_MOST_DAYS = 10


def plan_deletions(account: Account, now: datetime) -> int:
    """Open one job for each day that is old enough, oldest first; return how many were opened."""
    nightly = account.nights
    if nightly is None or nightly.delete_after_days == 0:
        return 0
    before = now.timestamp() - nightly.delete_after_days * _DAY_SECONDS
    count = 0
    for day in ledger().days.to_delete(account.alias, before):
        known = _proven(day)
        if known is None:
            continue
        # A plan that was killed before this note finds its job, and notes the day.
        count += known.listed > 0 and _open(known, day)
        ledger().days.mark_deleted(account.alias, day.day)
        if count == _MOST_DAYS:
            break
    return count


def _open(known: Manifest, day: Day) -> bool:
    """Open the job that deletes what a day's manifest lists; return whether it is new."""
    assert known.generation is not None
    request = deletions.of_day(day.account, day.day, known.generation)
    job, number = ledger().opening.open(request, by="nightly plan")
    if number is not None:
        publish_first(job, number)
    return number is not None


def _proven(day: Day) -> Manifest | None:
    """Return the newest manifest of a day, None if it is not complete or not chained."""
    known = manifest.latest(store(), day.account, day.day)
    if known is None or not known.complete or not is_chained(day.account, known.path):
        return None
    return known
