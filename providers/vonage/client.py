"""Vonage Business Communications, both call recording APIs: list, export, download, delete.

The documented facts and the open questions: docs/providers/vonage.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import Any
from urllib.parse import quote

import httpx

from config.masking import mask
from providers.errors import NotFound, NotReady, ProviderError, Rejected
from providers.http.client import HttpClient
from providers.http.deadline import within
from providers.http.exchange import Answer
from providers.http.session import Session
from providers.http.streaming import Body
from providers.http.tokens import TokenStore
from providers.interface import DeletesRecordings, ExportProgress, TellsExportProgress
from providers.recordings import Page, Recording, Window

from .account import BOTH, COMPANY, ON_DEMAND, VonageAccount
from .both_lists import in_order, one_page
from .export_jobs import ExportJobs
from .login import login
from .recording_list import RecordingList, component
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
    202: "the provider is still preparing it",
    204: "the provider has nothing to send yet",
    404: "not ready yet",
    409: "the provider is still preparing it",
}


class Vonage(HttpClient, TellsExportProgress, DeletesRecordings):
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
        self._lists = _lists(self._session, account)
        self.exports = len(self._lists)
        self._jobs = ExportJobs(self._session, account)

    def probe(self) -> str:
        """List one page of recordings."""
        page = self.recordings({})
        if page.total_items is not None:
            are = "recording is" if page.total_items == 1 else "recordings are"
            return f"{page.total_items} {are} listed"
        count = len(page.recordings)
        return f"{count} recording{'s' * (count != 1)} on the first page"

    def recordings(
        self,
        filters: Mapping[str, Any],
        *,
        page: int = 1,
        page_size: int = 10,
        order: str = "start:DESC",
    ) -> Page:
        """Return one page of recordings. ``filters`` have the vendor's names; ``page`` counts from
        1; the returned ``page_size`` may be smaller. An account of both kinds of recordings gets up
        to ``page_size`` of each. Raises NotFound past the end if the provider answers so.
        """
        pages: list[Page] = []
        refused: NotFound | None = None
        for one in self._lists:
            try:
                pages.append(one.recordings(filters, page=page, page_size=page_size, order=order))
            except NotFound as error:
                # The other list may be longer.
                refused = error
        if refused is not None and not pages:
            raise refused
        return one_page(pages, order)

    def every_recording(
        self,
        filters: Mapping[str, Any],
        *,
        window: Window | None = None,
        order: str = "start:ASC",
        page_size: int = 100,
    ) -> Iterator[Recording]:
        """Yield each recording once, in one pass over all pages; entries that are set aside are
        included. Raises Uncertain when the provider counts more than it lists.
        """
        asked = _within(filters, window)
        passes = [
            one.every_recording(asked, order=order, page_size=page_size) for one in self._lists
        ]
        return in_order(passes, order)

    def recording(self, recording_id: str) -> Recording:
        """Return one recording. Raises NotFound."""
        *others, last = self._lists
        for one in others:
            with suppress(NotFound):
                return one.recording(recording_id)
        return last.recording(recording_id)

    def delete(self, recording_id: str) -> bool:
        """Delete a recording at the provider; return False if it was gone already."""
        return any(one.delete(recording_id) for one in self._lists)

    def export(
        self, filters: Mapping[str, Any], *, window: Window | None = None, number: int = 0
    ) -> list[str]:
        """Create an export and return the provider's ids of it, several or none. ``number`` is 1
        for the on-demand recordings of an account that has the company's as well.
        """
        return self._lists[number].export(_within(filters, window))

    def progress(self, provider_job_id: str) -> ExportProgress | None:
        """Return the progress of an export; None if the account's API reports none. Raises NotFound
        for an export that the API does not know.
        """
        return self._jobs.progress(provider_job_id)

    @contextmanager
    def audio(
        self, recording_id: str, *, etag: str | None = None, offset: int = 0
    ) -> Iterator[Body]:
        """Open the audio of one recording, from ``offset`` if ``etag`` is still valid, otherwise
        from its first byte. Raises NotFound and Gone.
        """
        path = f"/api/audio/recording/{component(recording_id)}"
        what = f"the audio of recording {recording_id}"
        with self._session.file("recording_audio", path, what, etag=etag, offset=offset) as body:
            yield body

    @contextmanager
    def retrieve(
        self, provider_job_id: str, *, etag: str | None = None, offset: int = 0
    ) -> Iterator[Body]:
        """Open the ZIP of an export, from ``offset`` if ``etag`` is still valid, otherwise from its
        first byte.

        An answer that is not a ZIP by its first bytes is NotReady, with the reason in words; 410 is
        Gone. The address is that of the newest `progress`, if there was one. The token is sent
        although the vendor's example has none (docs/providers/vonage.md, Q2 and Q4).
        """
        what = f"export {provider_job_id}"
        with self._session.file(
            "export_retrieve",
            self._jobs.address(provider_job_id),
            what,
            etag=etag,
            offset=offset,
            refusal=self._no_file,
        ) as body:
            if body.offset == 0:
                self._refuse_other_than_zip(body, what)
            yield body

    def _no_file(self, answer: Answer, what: str) -> ProviderError:
        refused = refusal(answer, what)
        is_answered_so = answer.status < 300 or type(refused) in (Rejected, NotFound)
        if not is_answered_so:
            return refused
        meaning = _NOT_READY.get(answer.status, "not ready, as far as the answer can be understood")
        reason = ": ".join(filter(None, [f"HTTP {answer.status}", error_reason(answer.body)[0]]))
        doubt = self._wrong_user() if answer.status == 404 else ""
        return NotReady(NAME, f"{what}: {meaning} ({reason})", doubt)

    def _wrong_user(self) -> str:
        login_name = mask(self._account.login_name or "(none is set)")
        return f"or login_name {login_name} is not the user who created the job: check login_name"

    def _refuse_other_than_zip(self, body: Body, what: str) -> None:
        with within(self._account.timeout_seconds):
            start = body.first(_ZIP_START_BYTES)
        if start.startswith(_PROGRAM_STARTS) or any(begin in start for begin in _ZIP_STARTS):
            return
        kinds = {b"": "an empty body", b"<": "a page of HTML or XML", b"{": "JSON", b"[": "JSON"}
        kind = kinds.get(start.lstrip()[:1], "something else")
        raise NotReady(NAME, f"{what}: not ready: the answer was {kind}, not a ZIP")


def _within(filters: Mapping[str, Any], window: Window | None) -> dict[str, Any]:
    """Return the filters, with the bounds of a recording's start if there is a window."""
    if window is None:
        return dict(filters)
    first, last = (one.astimezone(UTC).strftime(_INSTANT) for one in (window.start, window.last))
    return {**filters, "start:gte": first, "start:lte": last}


def _lists(session: Session, account: VonageAccount) -> list[RecordingList]:
    """Return the lists of recordings of the account, the company's first."""
    base = f"/api/accounts/{quote(account.account_id, safe='')}"
    user = quote(account.user_id, safe="")
    lists = {
        COMPANY: RecordingList(session, f"{base}/company_call_recordings"),
        ON_DEMAND: RecordingList(session, f"{base}/users/{user}/call_recordings", on_demand=True),
    }
    return [one for kind, one in lists.items() if account.recordings in (kind, BOTH)]
