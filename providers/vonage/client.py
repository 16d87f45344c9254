"""Vonage Business Communications, Call Recording CSP (India): list, export, download, delete.

The documented facts and the open questions: docs/providers/vonage.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from typing import Any
from urllib.parse import quote

import httpx

from config.masking import mask
from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    NotReady,
    ProviderError,
    Rejected,
    Uncertain,
)
from providers.http.client import HttpClient
from providers.http.deadline import within
from providers.http.exchange import Answer
from providers.http.session import Session
from providers.http.streaming import Body
from providers.http.tokens import TokenStore
from providers.interface import DeletesRecordings, ExportsInBulk
from providers.recordings import Page, Recording, Window

from . import answers
from .account import VonageAccount
from .login import login
from .refusals import NAME, error_reason, refusal

__all__ = ["Body", "Vonage"]

#: The vendor's documented notation of an instant in filters.
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
#: The first bytes of self-extracting archives: a program precedes the first member.
_PROGRAM_STARTS = (b"MZ", b"\x7fELF", b"#!")
#: The most bytes that may otherwise precede an archive: a line end that a script sent too early.
_ZIP_START_BYTES = 64
#: The answers of retrieve before the export is ready (docs/providers/vonage.md, Q2).
_NOT_READY = {
    202: "the provider is still making it",
    204: "the provider has nothing to send yet",
    404: "not ready, or login_name {login_name} is not the user who created the job",
    409: "the provider is still making it",
}


class Vonage(HttpClient, ExportsInBulk, DeletesRecordings):
    """One account's client.

    Parameters: ``account``; ``token_store``, the token's storage, shared by all workers;
    ``transport``, the seam for tests; ``before_call``, called before each HTTP call of an
    operation.
    """

    def __init__(
        self,
        account: VonageAccount,
        token_store: TokenStore | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            Session(
                account,
                refusal,
                transport=transport,
                before_call=before_call,
                login=login(account),
                token_store=token_store,
                file_hosts=account.download_hosts,
            )
        )
        self._account = account
        self._company = (
            f"/api/accounts/{quote(account.account_id, safe='')}/company_call_recordings"
        )

    def probe(self) -> str:
        """List one page of recordings."""
        page = self.recordings({})
        if page.total_items is not None:
            return f"{page.total_items} recordings are listed"
        return f"{len(page.recordings)} recordings on the first page"

    def recordings(
        self,
        filters: Mapping[str, Any],
        *,
        page: int = 1,
        page_size: int = 10,
        order: str = "start:DESC",
    ) -> Page:
        """Return one page of recordings. ``filters`` have the vendor's names; ``page`` counts from
        1; the returned ``page_size`` may be smaller. Raises NotFound past the end if the provider
        answers so.
        """
        query = {**filters, "order": order, "page": page, "page_size": page_size}
        answer = self._session.answer(
            "recording_list", "GET", self._company, "the list of recordings", params=query
        )
        if answer.status == 204:
            return Page([], page=page, page_size=page_size)
        return answers.page(answer.body, number=page, page_size=page_size)

    def every_recording(
        self,
        filters: Mapping[str, Any],
        *,
        window: Window | None = None,
        order: str = "start:ASC",
        page_size: int = 100,
    ) -> Iterator[Recording]:
        """Yield each recording once, in one pass over all pages by page numbers of our own; entries
        that are set aside are included.

        A page without anything new ends the pass. Pages count from 1 in practice, from 0 in the
        links of the vendor's sample: unless as many recordings arrived as the provider counts, page
        0 is requested too. Raises Uncertain when too few arrived even so; if the provider counts
        only pages, when too few pages did.
        """
        filters = _within(filters, window)
        seen: set[str] = set()
        counted = pages = filled = repeated = 0
        for number in itertools.count(1):
            found = self._page(filters, number, page_size, order)
            # The vendor's own sample says 0 items next to a recording, so 0 is no count.
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
                raise NotFound(NAME, "there is no list of recordings: check account_id")
        if len(seen) + repeated < counted:
            raise Uncertain(NAME, f"the provider counts {counted} recordings but lists {len(seen)}")
        # The provider may count an empty list as one page.
        if not counted and filled < pages and pages > 1:
            raise Uncertain(NAME, f"the provider counts {pages} pages but lists {filled}")

    def _page(
        self, filters: Mapping[str, Any], number: int, page_size: int, order: str
    ) -> Page | None:
        """Return a page of a pass, or None if the provider has no page of that number."""
        try:
            return self.recordings(filters, page=number, page_size=page_size, order=order)
        except NotFound:
            # This may be the answer to a page past the end (docs/providers/vonage.md).
            return None
        except Rejected as error:
            if number > 0 or isinstance(error, BadCredentials):
                raise
            return None

    def recording(self, recording_id: str) -> Recording:
        """Return one recording. Raises NotFound."""
        what = f"recording {recording_id}"
        path = f"{self._company}/{_component(recording_id)}"
        answer = self._session.answer("recording_get", "GET", path, what)
        return answers.recording(answer.body, what)

    def delete(self, recording_id: str) -> bool:
        """Delete a recording at the provider; return False if it was gone already."""
        path = f"{self._company}/{_component(recording_id)}"
        what = f"the deletion of recording {recording_id}"
        try:
            answer = self._session.answer("recording_delete", "DELETE", path, what)
            answers.deleted(answer.body, what)
        except (NotFound, Gone):
            return False
        return True

    def export(self, filters: Mapping[str, Any], *, window: Window | None = None) -> list[str]:
        """Create an export; return the provider's ids of it, several or none.

        200, 201 and 202 are all success (docs/providers/vonage.md, Q1).
        """
        what = "the creation of an export"
        path = f"{self._company}/export"
        query = _within(filters, window)
        answer = self._session.answer("export_create", "POST", path, what, json=query)
        return answers.job_ids(answer.body)

    @contextmanager
    def audio(
        self, recording_id: str, *, etag: str | None = None, offset: int = 0
    ) -> Iterator[Body]:
        """Open the audio of one recording, from ``offset`` if ``etag`` is still valid, otherwise
        from its first byte. Raises NotFound and Gone.
        """
        path = f"/api/audio/recording/{_component(recording_id)}"
        what = f"the audio of recording {recording_id}"
        with self._session.file("recording_audio", path, what, etag=etag, offset=offset) as body:
            yield body

    @contextmanager
    def retrieve(
        self, provider_job_id: str, *, etag: str | None = None, offset: int = 0
    ) -> Iterator[Body]:
        """Open the ZIP of an export, from ``offset`` if ``etag`` is still valid, otherwise from its
        first byte.

        India has no status request: an answer that is no ZIP by its first bytes is NotReady, with
        the reason in words; 410 is Gone. The token is sent although the vendor's example has none
        (docs/providers/vonage.md, Q2 and Q4).
        """
        what = f"export {provider_job_id}"
        # India's names are jobId and userName; the sibling API spells them otherwise.
        query = {"jobId": provider_job_id, "userName": self._account.login_name or ""}
        path = "/api/bulkDownload/retrieve"
        with self._session.file(
            "export_retrieve",
            path,
            what,
            etag=etag,
            offset=offset,
            refusal=self._no_file,
            params=query,
        ) as body:
            if body.offset == 0:
                self._refuse_other_than_zip(body, what)
            yield body

    def _no_file(self, answer: Answer, what: str) -> ProviderError:
        refused = refusal(answer, what)
        is_answered_so = answer.status < 300 or type(refused) in (Rejected, NotFound)
        if not is_answered_so:
            return refused
        login_name = mask(self._account.login_name or "(none is set)")
        meaning = _NOT_READY.get(answer.status, "not ready, as far as the answer can be understood")
        reason = ": ".join(filter(None, [f"HTTP {answer.status}", error_reason(answer.body)[0]]))
        return NotReady(NAME, f"{what}: {meaning.format(login_name=login_name)} ({reason})")

    def _refuse_other_than_zip(self, body: Body, what: str) -> None:
        with within(self._account.timeout_seconds):
            start = body.first(_ZIP_START_BYTES)
        if start.startswith(_PROGRAM_STARTS) or any(begin in start for begin in _ZIP_STARTS):
            return
        kinds = {b"": "an empty body", b"<": "a page of HTML or XML", b"{": "JSON", b"[": "JSON"}
        kind = kinds.get(start.lstrip()[:1], "something else")
        raise NotReady(NAME, f"{what}: not ready: the answer was {kind}, not a ZIP")


def _component(identifier: str) -> str:
    """Return an id as one component of a path. Refuse an empty id or one of only dots, which would
    name another address, and one with unprintable characters, which cannot be sent.
    """
    if not identifier.strip(".") or not identifier.isprintable():
        raise Rejected(NAME, f'"{identifier}" is no id of a recording')
    return quote(identifier, safe="")


def _within(filters: Mapping[str, Any], window: Window | None) -> dict[str, Any]:
    """Return the filters, with the bounds of a recording's start if there is a window."""
    if window is None:
        return dict(filters)
    first, last = (one.astimezone(UTC).strftime(_INSTANT) for one in (window.start, window.last))
    return {**filters, "start:gte": first, "start:lte": last}


def _fresh(found: Page | None, seen: set[str]) -> list[Recording]:
    """Return the entries of a page that are not in ``seen``, and add them to it."""
    fresh: dict[str, Recording] = {}
    for one in _entries(found):
        if one.id not in seen:
            fresh.setdefault(one.id, one)
    seen.update(fresh)
    return list(fresh.values())


def _entries(found: Page | None) -> list[Recording]:
    """Return the recordings of a page and its entries that were set aside."""
    return [] if found is None else [*found.recordings, *found.set_aside]
