"""Company and on-demand recordings as one list: each recording once, in order.

The audio of both has one address, which names the id alone: an id that stands in both lists is one
recording (docs/providers/vonage.md, Q18).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from providers.recordings import Page, Recording

from .recordings import another_id, likeness

#: Where a recording without a readable start stands among others.
_FIRST = datetime.min.replace(tzinfo=UTC)


def in_order(passes: Sequence[Iterable[Recording]], order: str) -> Iterator[Recording]:
    """Yield the recordings of several passes, which are sorted by ``order`` each, sorted and each
    once. Of two different recordings with one id the second is set aside.
    """
    if len(passes) == 1:
        yield from passes[0]
        return
    descending = order.upper().endswith(":DESC")
    seen: dict[str, int] = {}
    for one in heapq.merge(*passes, key=_start, reverse=descending):
        yield from _first_of(one, seen)


def one_page(pages: Sequence[Page], order: str) -> Page:
    """Return the page that holds what the pages of this number of all lists hold. The totals are
    those of both lists, and of the longer one in pages; None where a list does not state its own.
    """
    if len(pages) == 1:
        return pages[0]
    seen: dict[str, int] = {}
    entries = [one for page in pages for one in (*page.recordings, *page.set_aside)]
    found = [fresh for one in entries for fresh in _first_of(one, seen)]
    recordings = [one for one in found if not one.set_aside]
    if order.partition(":")[0] == "start":
        recordings.sort(key=_start, reverse=order.upper().endswith(":DESC"))
    return Page(
        recordings,
        page=pages[0].page,
        page_size=max(page.page_size for page in pages),
        total_items=_joined(sum, [page.total_items for page in pages]),
        total_pages=_joined(max, [page.total_pages for page in pages]),
        set_aside=[one for one in found if one.set_aside],
    )


def _first_of(one: Recording, seen: dict[str, int]) -> list[Recording]:
    """Yield the recording unless another list had it; set it aside if only its id is the same.

    ``seen`` has a number for each, not the recording: a day may have very many.
    """
    own = likeness(one.raw)
    if one.id not in seen:
        seen[one.id] = own
        return [one]
    if one.set_aside or seen[one.id] == own:
        return []
    why = f"its id {one.id} is also that of a recording in the other list"
    aside = replace(one, id=another_id(one.id, one.raw), set_aside=why)
    return _first_of(aside, seen)


def _start(one: Recording) -> datetime:
    return one.start or _FIRST


def _joined(join: Any, counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return join(known) if len(known) == len(counts) else None
