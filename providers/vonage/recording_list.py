"""One of an account's lists of recordings: the company's, or a user's on-demand ones.

Both have the same operations, filters, fields and pages (docs/providers/vonage.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from providers.errors import BadCredentials, Gone, NotFound, Rejected, Uncertain
from providers.http.session import Session
from providers.recordings import Page, Recording

from . import answers
from .refusals import NAME


class RecordingList:
    """A list below ``path``. Recordings of an ``on_demand`` list say ``on_demand`` among their
    fields.
    """

    def __init__(self, session: Session, path: str, *, on_demand: bool = False) -> None:
        self._session = session
        self._path = path
        self._on_demand = on_demand

    def recordings(
        self, filters: Mapping[str, Any], *, page: int, page_size: int, order: str
    ) -> Page:
        """Return one page. Raises NotFound past the end, where the provider answers so."""
        query = {**filters, "order": order, "page": page, "page_size": page_size}
        answer = self._session.answer(
            "recording_list", "GET", self._path, "the list of recordings", params=query
        )
        if answer.status == 204:
            return Page([], page=page, page_size=page_size)
        return self._marked_page(answers.page(answer.body, number=page, page_size=page_size))

    def every_recording(
        self, filters: Mapping[str, Any], *, order: str, page_size: int
    ) -> Iterator[Recording]:
        """Yield one pass over all pages, each recording once, by page numbers of our own, with the
        entries that are set aside.

        A page without anything new ends it. Pages count from 1 in practice, from 0 in the links of
        the vendor's sample: unless as many came as the provider counts, page 0 is asked for too.
        Raises Uncertain when they are fewer even so; where it counts pages alone, when those are.
        """
        seen: set[str] = set()
        counted = pages = filled = repeated = 0
        for number in itertools.count(1):
            found = self._page(filters, number, page_size, order)
            # The vendor's own sample says 0 items beside a recording, so 0 is not a count.
            counted = max(counted, (found.total_items if found else None) or 0)
            pages = max(pages, (found.total_pages if found else None) or 0)
            fresh = _fresh(found, seen)
            yield from fresh
            if not fresh:
                break
            filled += 1
            # A recording that one page lists twice counts twice for the provider too.
            repeated += len(_entries(found)) - len({one.id for one in _entries(found)})
        if not counted or len(seen) + repeated < counted:
            zero = self._page(filters, 0, page_size, order)
            fresh = _fresh(zero, seen)
            yield from fresh
            filled += bool(fresh)
            if found is None and zero is None and number == 1:
                raise NotFound(NAME, f"there is no list of recordings: check {self._fields}")
        if len(seen) + repeated < counted:
            recordings = f"{counted} recording{'s' * (counted != 1)}"
            raise Uncertain(NAME, f"the provider counts {recordings} but lists {len(seen)}")
        # An empty list may be counted as one page.
        if not counted and filled < pages and pages > 1:
            raise Uncertain(NAME, f"the provider counts {pages} pages but lists {filled}")

    def recording(self, recording_id: str) -> Recording:
        """Return one recording. Raises NotFound."""
        what = f"recording {recording_id}"
        answer = self._session.answer("recording_get", "GET", self._of(recording_id), what)
        return self._marked(answers.recording(answer.body, what))

    def delete(self, recording_id: str) -> bool:
        """Delete a recording at the provider; return False where it was gone already."""
        path = self._of(recording_id)
        what = f"the deletion of recording {recording_id}"
        try:
            answer = self._session.answer("recording_delete", "DELETE", path, what)
            answers.deleted(answer.body, what)
        except (NotFound, Gone):
            return False
        return True

    def export(self, filters: Mapping[str, Any]) -> list[str]:
        """Create an export of the list and return the provider's ids of it, several or none.

        200, 201 and 202 are all success (docs/providers/vonage.md, Q1).
        """
        what = "the creation of an export"
        path = f"{self._path}/export"
        answer = self._session.answer("export_create", "POST", path, what, json=dict(filters))
        return answers.job_ids(answer.body)

    @property
    def _fields(self) -> str:
        return "account_id and user_id" if self._on_demand else "account_id"

    def _of(self, recording_id: str) -> str:
        return f"{self._path}/{component(recording_id)}"

    def _page(
        self, filters: Mapping[str, Any], number: int, page_size: int, order: str
    ) -> Page | None:
        """Return a page of a pass; None if the provider has no page of that number."""
        try:
            return self.recordings(filters, page=number, page_size=page_size, order=order)
        except NotFound:
            # A page past the end may be answered so (docs/providers/vonage.md).
            return None
        except Rejected as error:
            if number > 0 or isinstance(error, BadCredentials):
                raise
            return None

    def _marked_page(self, found: Page) -> Page:
        if not self._on_demand:
            return found
        return replace(
            found,
            recordings=[*map(self._marked, found.recordings)],
            set_aside=[*map(self._marked, found.set_aside)],
        )

    def _marked(self, found: Recording) -> Recording:
        return replace(found, raw={**found.raw, "on_demand": True}) if self._on_demand else found


def component(identifier: str) -> str:
    """Return an id as one component of a path. Raises Rejected for one that is empty or dots alone,
    which would name another address, and for one that cannot be printed, which cannot be sent.
    """
    if not identifier.strip(".") or not identifier.isprintable():
        raise Rejected(NAME, f'"{identifier}" is not the id of a recording')
    return quote(identifier, safe="")


def _fresh(found: Page | None, seen: set[str]) -> list[Recording]:
    """Return the entries of a page that were not seen before, and note them as seen."""
    fresh: dict[str, Recording] = {}
    for one in _entries(found):
        if one.id not in seen:
            fresh.setdefault(one.id, one)
    seen.update(fresh)
    return list(fresh.values())


def _entries(found: Page | None) -> list[Recording]:
    """Return the recordings of a page and the entries that were set aside."""
    return [] if found is None else [*found.recordings, *found.set_aside]
