"""Vonage Business Communications, Call Recording CSP (India): list, export, download, delete.

The vendor's page: Call Recording CSP(India) API (seed 004); what it leaves open: providers.md 4.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from config.accounts import VonageAccount

from . import vonage_answers as answers
from .bodies import Body, unsatisfied_total
from .deadline import Transport, within
from .errors import BadCredentials, NotFound, NotReady, Uncertain, Unreachable
from .tokens import Shelf, Tokens

#: What a page may weigh; an answer that is larger is none of the vendor's.
_MOST_BYTES = 16 << 20
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
#: What retrieve may answer before the export is ready is documented nowhere (question 20).
_NOT_READY = {
    202: "the provider is still making it",
    204: "the provider has nothing to send yet",
    404: "not ready, or login_name {login_name} is not the user who created the job",
    409: "the provider is still making it",
}


class Vonage:
    """One account's client; a context manager, used by one thread.

    Parameters: ``account``; ``shelf``, where its token lies for all workers; ``transport``, the
    seam for tests; ``before_call``, called before each HTTP call of an operation.
    """

    def __init__(
        self,
        account: VonageAccount,
        shelf: Shelf,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        self.provider_time: datetime | None = None
        self._account = account
        self._before_call = before_call or (lambda: None)
        self._http = httpx.Client(
            transport=transport or Transport(verify=account.verify_tls),
            timeout=account.timeout_seconds,
            trust_env=False,
            follow_redirects=False,
        )
        self._tokens = Tokens(account, shelf, self._http)
        self._base = str(account.base_url).rstrip("/")
        self._company = (
            f"/api/accounts/{quote(account.account_id, safe='')}/company_call_recordings"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def recordings(
        self,
        filters: Mapping[str, Any],
        *,
        page: int = 1,
        page_size: int = 10,
        order: str = "start:DESC",
    ) -> dict[str, Any]:
        """One page of recordings: ``recordings, page, page_size, total_items?, total_pages?``.

        ``filters`` are the vendor's names; ``page`` counts from 1. Raises NotFound past the end,
        where the provider answers so, and what any call raises: Unreachable, Throttled, Uncertain,
        Rejected, BadCredentials.
        """
        query = {**filters, "order": order, "page": page, "page_size": page_size}
        status, body = self._call("GET", self._company, "the list of recordings", params=query)
        if status == 204:
            return {"recordings": [], "page": page, "page_size": page_size}
        return answers.page(body, asked=page, page_size=page_size)

    def every_recording(
        self, filters: Mapping[str, Any], *, order: str = "start:ASC", page_size: int = 100
    ) -> Iterator[dict[str, Any]]:
        """One pass over all pages, each recording once, by page numbers of our own.

        The page numbers count from 1 in practice, from 0 in the seed's links (providers.md 4.5):
        where fewer recordings came than the provider counts, page 0 is asked for too. Raises
        Uncertain when they are still fewer.
        """
        seen: set[str] = set()
        total: int | None = None
        for number in itertools.count(1):
            found = self._page(filters, number, page_size, order)
            total = found.get("total_items", total)
            fresh = _fresh(found, seen)
            yield from fresh
            # The seed's sample says 0 pages of 0 items beside a recording: only a page without
            # anything new, or a last page that is told, ends the pass.
            if not fresh or number >= (found.get("total_pages") or math.inf):
                break
        if total is not None and len(seen) < total:
            yield from _fresh(self._page(filters, 0, page_size, order), seen)
        if total is not None and len(seen) < total:
            raise Uncertain(
                answers.NAME, f"the provider counts {total} recordings but lists {len(seen)}"
            )

    def _page(
        self, filters: Mapping[str, Any], number: int, page_size: int, order: str
    ) -> dict[str, Any]:
        try:
            return self.recordings(filters, page=number, page_size=page_size, order=order)
        except NotFound:
            # A page past the end may be answered so (providers.md 4.5).
            return {"recordings": []}

    def recording(self, recording_id: str) -> dict[str, Any]:
        """One recording, every field of the vendor's. Raises NotFound and what any call raises."""
        path = f"{self._company}/{quote(recording_id, safe='')}"
        _, body = self._call("GET", path, f"recording {recording_id}")
        return answers.recording(answers.json_object(body, f"recording {recording_id}"))

    def delete(self, recording_id: str) -> bool:
        """Delete a recording at the provider; False where it was gone already (404)."""
        path = f"{self._company}/{quote(recording_id, safe='')}"
        try:
            self._call("DELETE", path, f"the deletion of recording {recording_id}")
        except NotFound:
            return False
        return True

    def export(self, filters: Mapping[str, Any]) -> list[str]:
        """Create an export; the provider's ids of it, several or none.

        The seed says "Created" without a number, the sibling API 202: 200, 201 and 202 all are
        success (question 19). Every other outcome but a refusal is Uncertain: a call that may have
        left may have created one.
        """
        _, body = self._call(
            "POST", f"{self._company}/export", "the creation of an export", json=dict(filters)
        )
        return answers.job_ids(body)

    @contextmanager
    def audio(
        self, recording_id: str, *, etag: str | None = None, offset: int = 0
    ) -> Iterator[Body]:
        """The audio of one recording, from ``offset`` where ``etag`` still holds."""
        path = f"/api/audio/recording/{quote(recording_id, safe='')}"
        what = f"the audio of recording {recording_id}"
        with self._streamed(path, {}, what, etag, offset) as response:
            if response.status_code not in (200, 206, 416):
                raise answers.refusal(response, _read(response), what)
            yield self._body(response, what, offset)

    @contextmanager
    def retrieve(
        self, provider_job_id: str, *, etag: str | None = None, offset: int = 0
    ) -> Iterator[Body]:
        """The ZIP of an export, from ``offset`` where ``etag`` still holds.

        There is no status to ask (question 21): whatever is not a ZIP by its first bytes is
        NotReady, with the reason in words; 410 is Gone, 401 and 403 BadCredentials. The token is
        sent although the seed shows none here (question 22).
        """
        # India's names are jobId and userName; the sibling API spells them otherwise (seed 004).
        query = {"jobId": provider_job_id, "userName": self._account.login_name or ""}
        what = f"export {provider_job_id}"
        path = "/api/bulkDownload/retrieve"
        with self._streamed(path, query, what, etag, offset) as response:
            status = response.status_code
            if status in _NOT_READY:
                reason = _NOT_READY[status].format(login_name=self._account.login_name)
                raise NotReady(answers.NAME, f"{what}: {reason} (HTTP {status})")
            if status not in (200, 206, 416):
                raise answers.refusal(response, _read(response), what)
            body = self._body(response, what, offset)
            if status == 200:
                self._refuse_other_than_zip(body, what)
            yield body

    def _refuse_other_than_zip(self, body: Body, what: str) -> None:
        start = body.first(64)
        if start.startswith(_ZIP_STARTS):
            return
        shown = "something that is no ZIP"
        if not start:
            shown = "an empty body"
        elif start.lstrip()[:1] == b"<":
            shown = "a page of HTML or XML"
        elif start.lstrip()[:1] in (b"{", b"["):
            shown = "JSON"
        raise NotReady(answers.NAME, f"{what}: not ready: the answer was {shown}, not a ZIP")

    def _body(self, response: httpx.Response, what: str, offset: int) -> Body:
        if response.status_code != 416:
            return Body(answers.NAME, response, asked=offset)
        if offset and unsatisfied_total(response) == offset:
            return Body(answers.NAME, response, asked=offset, complete=True)
        raise Uncertain(answers.NAME, f"{what}: the part asked for does not exist (HTTP 416)")

    def _call(self, method: str, path: str, what: str, **content: Any) -> tuple[int, bytes]:
        """One call within its total deadline: the status and the body of a success."""
        with self._streamed(path, content.pop("params", {}), what, None, 0, method, **content) as r:
            with within(self._account.timeout_seconds), _sent(what):
                body = _read(r)
            if r.status_code not in (200, 201, 202, 204):
                raise answers.refusal(r, body, what)
            return r.status_code, body

    @contextmanager
    def _streamed(
        self,
        path: str,
        query: Mapping[str, Any],
        what: str,
        etag: str | None,
        offset: int,
        method: str = "GET",
        **content: Any,
    ) -> Iterator[httpx.Response]:
        """An answer whose head has come, with a token that holds: one renewal after a 401."""
        headers = {"Accept-Encoding": "identity"}
        if offset and etag:
            headers.update({"Range": f"bytes={offset}-", "If-Range": etag})
        token, version = self._token()
        for last in (False, True):
            self._before_call()
            headers["Authorization"] = f"Bearer {token}"
            request = self._http.build_request(
                method, f"{self._base}{path}", params=query, headers=headers, **content
            )
            with _sent(what), within(self._account.timeout_seconds):
                response = self._http.send(request, stream=True)
            self.provider_time = answers.date_of(response) or self.provider_time
            if response.status_code == 401 and not last:
                response.close()
                token, version = self._renewed(version, what)
                continue
            try:
                yield response
            finally:
                response.close()
            return

    def _token(self) -> tuple[str, int]:
        with within(self._account.timeout_seconds):
            return self._tokens.access()

    def _renewed(self, version: int, what: str) -> tuple[str, int]:
        if self._account.access_token is not None:
            raise BadCredentials(answers.NAME, f"{what}: HTTP 401; the access_token is refused")
        with within(self._account.timeout_seconds):
            return self._tokens.renew(version)


@contextmanager
def _sent(what: str) -> Iterator[None]:
    """Errors of the network as ours. Their texts are not kept: they may hold addresses."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Unreachable(
            answers.NAME, f"{what}: the provider could not be reached ({type(error).__name__})"
        ) from None
    except httpx.RequestError as error:
        raise Uncertain(
            answers.NAME, f"{what}: no readable answer came ({type(error).__name__})"
        ) from None


def _fresh(found: dict[str, Any], seen: set[str]) -> list[dict[str, Any]]:
    """The recordings of a page that were not seen before; they are now."""
    fresh = []
    for recording in found["recordings"]:
        if recording["id"] not in seen:
            seen.add(recording["id"])
            fresh.append(recording)
    return fresh


def _read(response: httpx.Response) -> bytes:
    """A small body, in whole. Raises Uncertain when it is not small."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _MOST_BYTES:
            raise Uncertain(answers.NAME, f"the answer is larger than {_MOST_BYTES} bytes")
    return bytes(body)
