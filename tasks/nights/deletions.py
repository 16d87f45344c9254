"""Deletions at the provider: the recordings of archived days that are old enough."""

from __future__ import annotations

from datetime import date, datetime

from archive.documents import manifest, recordings_list
from config.accounts import Account
from config.queues import DUE
from ledger.core.opening import Request
from tasks.archive_watch.chained import is_chained
from tasks.runtime.context import ledger, store
from tasks.runtime.messages import publish_first

_DAY_SECONDS = 86_400


def plan_deletions(account: Account, now: datetime) -> int:
    """Open a deletion for every recording of the days that are old enough; return how many."""
    nightly = account.nights
    if nightly is None or nightly.delete_after_days == 0:
        return 0
    before = now.timestamp() - nightly.delete_after_days * _DAY_SECONDS
    count = 0
    for day in ledger().days.to_delete(account.alias, before):
        known = manifest.latest(store(), account.alias, day.day)
        if known is None or not known.complete or not is_chained(account.alias, known.path):
            continue
        for line in recordings_list.read(store(), known.recordings.path):
            job, number = ledger().opening.open(
                deletion(account.alias, line.id, day.day), by="nightly plan"
            )
            count += number is not None
            if number is not None:
                publish_first(job, number)
        ledger().days.deleted(account.alias, day.day)
    return count


def deletion(alias: str, recording_id: str, day: date) -> Request:
    """Return the request to delete one recording of an archived day."""
    return Request(
        kind="recording.delete",
        account=alias,
        request_id=f"day:{day.isoformat()}/{recording_id}",
        parameters={"recording_id": recording_id, "day": day.isoformat()},
        queue=DUE,
    )
