"""The preview of a window: how much is listed, whether the day has settled, what is archived."""

from __future__ import annotations

from dataclasses import dataclass

from archive.audio import acceptance
from archive.documents import manifest
from ledger.core.job import iso
from providers.interface import ListsRecordings
from tasks.runtime.client import client
from tasks.runtime.context import store
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.runner import Attempt, Wait

from . import runs


@dataclass(frozen=True)
class Preview:
    """The result of one pass over the listing.

    This is the number of recordings, their bytes in total, whether each is listed with its size,
    and whether an export is needed.
    """

    listed: int
    bytes: int
    is_sized: bool
    needs_export: bool


def preview(attempt: Attempt) -> Preview:
    """List the window once. Raises Wait while the day may still change."""
    parameters = attempt.job.parameters
    listed = size = unsized = 0
    asked = runs.asked(parameters)
    with (
        apply_error_policy(attempt, waits_for_credentials=True),
        client(attempt, ListsRecordings) as provider,
    ):
        for recording in provider.every_recording(asked.filters, window=asked.window):
            attempt.check()
            if runs.in_window(parameters, recording):
                known = acceptance.listed(recording.size_bytes)
                listed += 1
                size, unsized = size + (known or 0), unsized + (known is None)
        refuse_unsettled(attempt, provider)
    return Preview(listed, size, unsized == 0, listed > 0 and not _archived_before(attempt))


def refuse_unsettled(attempt: Attempt, provider: ListsRecordings) -> None:
    """Raise Wait until the provider's own clock is past the day's end and the time to settle."""
    settled_at = attempt.job.parameters.get("settled_at")
    if settled_at is None:
        return
    if provider.provider_time is None:
        raise Wait("the provider's answers carry no Date; the day may not have settled", 300)
    left = settled_at - provider.provider_time.timestamp()
    if left >= 0:
        raise Wait(f"the day settles until {iso(settled_at)} by the provider's clock", left + 1)


def _archived_before(attempt: Attempt) -> bool:
    # A later generation fetches one by one what is not archived; if nothing is archived, an export
    # is better.
    if "day" not in attempt.job.parameters:
        return False
    known = manifest.latest(store(), attempt.job.account, runs.folder_day(attempt.job))
    if known is None or known.archived == 0:
        return False
    # Without its list, the recordings of that generation are unknown.
    return store().exists(known.recordings.path)
