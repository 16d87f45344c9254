"""The preview of a window: how much is listed, whether the day has settled, what is archived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from archive.audio import acceptance
from archive.documents import manifest
from ledger.core.job import iso
from providers.errors import NotFound
from providers.interface import ListsRecordings, Page, Recording
from tasks.runtime.client import client
from tasks.runtime.context import store
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.fields import utc_text
from tasks.runtime.runner import Attempt, Wait

from . import runs

#: As many recordings as one page can have.
_PAGE_SIZE = 100


@dataclass(frozen=True)
class Preview:
    """What the first page of a window shows, or all pages if it states no total.

    This is the number of recordings, their bytes in total (estimated if only one of several pages
    was read), whether each that was read is listed with its size, and whether an export is needed.
    """

    listed: int
    bytes: int
    is_sized: bool
    needs_export: bool = False


def preview(attempt: Attempt) -> Preview:
    """Look at the first page of the window, and at the rest only if the page states no total.

    Raises Wait while the day may still change.
    """
    with (
        apply_error_policy(attempt, waits_for_credentials=True),
        client(attempt, ListsRecordings) as provider,
    ):
        page = _first_page(attempt, provider)
        # Before the rest is read, which is needless while the day may change.
        if page is not None:
            refuse_unsettled(attempt, provider)
        if page is None or not _states_total(attempt, page):
            found = _sums(_every_recording(attempt, provider))
            refuse_unsettled(attempt, provider)
        else:
            found = _sums(_entries(page), page.total_items)
    return replace(found, needs_export=found.listed > 0 and not _archived_before(attempt))


def _first_page(attempt: Attempt, provider: ListsRecordings) -> Page | None:
    """Return the first page of the window; None if the provider has no page of that number."""
    request = runs.export_request(attempt.job.parameters)
    assert request.window is not None
    bounds = {
        "start:gte": utc_text(request.window.start),
        "start:lte": utc_text(request.window.last),
    }
    try:
        return provider.recordings(
            {**request.filters, **bounds}, page=1, page_size=_PAGE_SIZE, order="start:ASC"
        )
    except NotFound:
        return None


def _states_total(attempt: Attempt, page: Page) -> bool:
    """Return whether the page's total can be the number of the window's recordings.

    It cannot if recordings are listed that are not of the window, more than the total, or none at
    all though there are some.
    """
    entries, total = _entries(page), page.total_items
    if total is None or total < len(entries) or bool(total) != bool(entries):
        return False
    return all(runs.in_window(attempt.job.parameters, one) for one in entries)


def _entries(page: Page) -> list[Recording]:
    return [*page.recordings, *page.set_aside]


def _every_recording(attempt: Attempt, provider: ListsRecordings) -> Iterator[Recording]:
    request = runs.export_request(attempt.job.parameters)
    for recording in provider.every_recording(request.filters, window=request.window):
        attempt.check()
        if runs.in_window(attempt.job.parameters, recording):
            yield recording


def _sums(found: Iterable[Recording], total: int | None = None) -> Preview:
    """Return what these recordings show of a window that has ``total`` of them, or these alone."""
    count = size = unsized = 0
    for recording in found:
        known = acceptance.listed(recording.size_bytes)
        count += 1
        size, unsized = size + (known or 0), unsized + (known is None)
    listed = count if total is None else total
    expected = round(size * listed / count) if count else 0
    return Preview(listed, expected, unsized == 0)


def refuse_unsettled(attempt: Attempt, provider: ListsRecordings) -> None:
    """Raise Wait until the provider's own clock is past the day's end and the time to settle."""
    settled_at = attempt.job.parameters.get("settled_at")
    if settled_at is None:
        return
    if provider.provider_time is None:
        raise Wait("the provider's answers have no Date header; the day may not have settled", 300)
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
