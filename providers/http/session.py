"""One account's requests: each spaced, within its deadline, and with a valid token."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import httpx

from config.accounts import Account
from providers.errors import ProviderError

from .deadline import Transport, within
from .exchange import Answer, connected, exchange
from .headers import date_of
from .hidden_urls import HiddenUrlTransport, hidden_request
from .oauth import Login
from .redaction import drop_frames
from .redirects import Redirects
from .streaming import Body, begins_anew, is_strong
from .tokens import Access, Tokens, TokenStore

#: Makes an error from an answer and the name of the request.
Refusal = Callable[[Answer, str], ProviderError]

SUCCESS = (200, 201, 202, 204)
_STREAMED = (200, 206)
_PART = (*_STREAMED, 416)


class Session:
    """Sends one account's requests; used by one thread, must be closed.

    ``provider_time`` is the newest answer's Date, in UTC.

    Args:
        account: the account; its ``timeout_seconds`` limit each request as a whole.
        refusal: makes the error of an answer with another status than a success.
        transport: the seam for tests.
        before_call: called before each request of an operation, not before renewals of the token.
        login: the way the account gets its token; None if it needs none.
        token_store: the storage of the token, shared by all workers.
        hides_addresses: whether the addresses hold a secret, which only the network may see.
        file_hosts: further hosts that files are fetched from if a public address redirects to
            them; None if redirects are not followed.
    """

    def __init__(
        self,
        account: Account,
        refusal: Refusal,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
        login: Login | None = None,
        token_store: TokenStore | None = None,
        hides_addresses: bool = False,
        file_hosts: Collection[str] | None = None,
    ) -> None:
        self.provider_time: datetime | None = None
        self._account = account
        self._refusal = refusal
        self._before_call = before_call or (lambda: None)
        self._began = 0.0
        self._hides_addresses = hides_addresses
        wire = transport or Transport(verify=account.verify_tls)
        self._http = connected(account, HiddenUrlTransport(wire) if hides_addresses else wire)
        self._tokens = None if login is None else Tokens(account, login, token_store, self._http)
        self._redirects = None if file_hosts is None else Redirects(account, file_hosts, transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._redirects is not None:
            self._redirects.close()

    def answer(
        self,
        operation: str,
        method: str,
        address: str | httpx.URL,
        what: str,
        *,
        success: Collection[int] | None = SUCCESS,
        **content: Any,
    ) -> Answer:
        """Send a request and return the whole answer if it is a success.

        Args:
            operation: the word under which the request is measured.
            method: the HTTP method.
            address: an address, or a path below the account's ``base_url``.
            what: the name of the request, which begins the reason of an error.
            success: the statuses that are a success; None leaves the decision to the caller.
            **content: httpx's ``params``, ``json`` and the like.

        Raises the error that `refusal` makes of an answer, and Unreachable and Uncertain for
        failures of the connection.
        """
        with self._answered(operation, method, address, what, content) as answer:
            if success is not None and answer.status not in success:
                raise self._refusal(answer, what)
            return answer

    @contextmanager
    def file(
        self,
        operation: str,
        address: str | httpx.URL,
        what: str,
        *,
        etag: str | None = None,
        offset: int = 0,
        refusal: Refusal | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Iterator[Body]:
        """Open a file, from byte ``offset`` if ``etag`` is still valid, otherwise from the first.

        A part is requested only with a strong validator. If the object has no such part, is another
        object by now, or the answer has a status that parts do not have, the whole object is
        requested: otherwise the held bytes would be resumed for ever. A redirect is followed as in
        `Redirects`, each time from here. Raises the error that ``refusal``, or the session's own,
        makes of an answer without a file.
        """
        with self._part(operation, address, what, etag, offset, params) as answer:
            is_part = "Range" in answer.response.request.headers
            if answer.status not in (_PART if is_part else _STREAMED):
                raise (refusal or self._refusal)(answer, what)
            yield Body(self._account.provider, answer, requested=offset, etag=etag)

    @contextmanager
    def _part(
        self,
        operation: str,
        address: str | httpx.URL,
        what: str,
        etag: str | None,
        offset: int,
        params: Mapping[str, str] | None,
    ) -> Iterator[Answer]:
        if offset and is_strong(etag):
            part = {"Range": f"bytes={offset}-", "If-Range": etag}
            content = {"params": params, "headers": part}
            with self._opened(operation, address, what, content) as answer:
                if not begins_anew(answer, etag, offset):
                    yield answer
                    return
        with self._opened(operation, address, what, {"params": params}) as answer:
            yield answer

    @contextmanager
    def _opened(
        self, operation: str, address: str | httpx.URL, what: str, content: Mapping[str, Any]
    ) -> Iterator[Answer]:
        with self._answered(operation, "GET", address, what, content, _STREAMED) as first:
            if self._redirects is None:
                yield first
                return
            # The call and its redirects share one deadline, which began with the first request.
            passed = time.monotonic() - self._began
            with within(self._account.timeout_seconds - passed):
                answer = self._redirects.followed(
                    first, first.response.request, operation=operation, what=what
                )
            with closing(answer.response):
                yield answer

    @contextmanager
    def _answered(
        self,
        operation: str,
        method: str,
        address: str | httpx.URL,
        what: str,
        content: Mapping[str, Any],
        streamed: Collection[int] = (),
    ) -> Iterator[Answer]:
        """Return an answer to a valid token: if the token had ended, renew it and try a second
        time.
        """
        access = None if self._tokens is None else self._tokens.access()
        answer = self._exchanged(operation, access, method, address, what, content, streamed)
        if self._tokens is not None and access is not None and self._tokens.has_ended(answer):
            access = self._tokens.renew(access.version)
            answer = self._exchanged(operation, access, method, address, what, content, streamed)
        with closing(answer.response):
            yield answer

    @drop_frames
    def _exchanged(
        self,
        operation: str,
        access: Access | None,
        method: str,
        address: str | httpx.URL,
        what: str,
        content: Mapping[str, Any],
        streamed: Collection[int],
    ) -> Answer:
        self._before_call()
        self._began = time.monotonic()
        with within(self._account.timeout_seconds):
            answer = exchange(
                self._http,
                self._request(access, method, address, **content),
                account=self._account,
                operation=operation,
                what=what,
                streamed=streamed,
            )
        self.provider_time = date_of(answer.headers) or self.provider_time
        return answer

    def _request(
        self,
        access: Access | None,
        method: str,
        address: str | httpx.URL,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> httpx.Request:
        if isinstance(address, str):
            address = self._account.base_url + address
        if self._hides_addresses:
            return hidden_request(self._http, httpx.URL(address), headers or {})
        # The stored and resumed bytes are the file's own bytes, not a compression of them.
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        if access is not None:
            sent["Authorization"] = f"Bearer {access.token.get_secret_value()}"
        return self._http.build_request(method, address, headers=sent, **content)
