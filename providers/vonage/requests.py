"""Calls of one Vonage account: with a token that holds, and each within its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import httpx

from providers.http.deadline import Transport, within
from providers.http.headers import date_of
from providers.http.redirects import Redirects
from providers.http.exchange import Answer, connected, exchange
from providers.http.streaming import begins_anew, is_strong
from providers.http.tokens import Access, Tokens, TokenStore

from .account import VonageAccount
from .refusals import NAME, is_not_subscribed, refusal

_SUCCESS = (200, 201, 202, 204)


class Calls:
    """Sends requests below the account's base_url; used by one thread, to be closed.

    ``provider_time`` is the newest answer's Date, in UTC. ``before_call`` is called before each
    request of an operation; renewals of the token do not count.
    """

    def __init__(
        self,
        account: VonageAccount,
        shelf: TokenStore,
        transport: httpx.BaseTransport | None,
        before_call: Callable[[], None] | None,
    ) -> None:
        self.provider_time: datetime | None = None
        self._account = account
        self._before_call = before_call or (lambda: None)
        self._began = 0.0
        self._http = connected(account, transport or Transport(verify=account.verify_tls))
        self._tokens = Tokens(account, shelf, self._http)
        self._redirects = Redirects(account, NAME, transport)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()
        self._redirects.close()

    def answer(self, operation: str, method: str, path: str, what: str, **content: Any) -> Answer:
        """A whole answer of success; ``content`` is httpx's params or json, ``operation`` the word
        under which the request is measured.

        Raises what ``what`` was answered with, as vonage_refusals says, and Unreachable and
        Uncertain for what befell the connection.
        """
        with self._answered(operation, method, path, what, content) as answer:
            if answer.status not in _SUCCESS:
                raise refusal(answer, what)
            return answer

    @contextmanager
    def file(
        self,
        operation: str,
        path: str,
        params: Mapping[str, str],
        what: str,
        etag: str | None,
        offset: int,
    ) -> Iterator[Answer]:
        """An answer whose body of 200 or 206 is still to come; other statuses are for the caller.

        A part is asked for only with a strong validator. Where the object has no such part, or is
        another by now, or a part is answered with another status than parts have, it is asked for
        as a whole: else what is held would be resumed for ever. A 416 is given only for an offset
        that is the object's size. A redirect is followed as `Redirects` does, each time from here.
        """
        if offset and is_strong(etag):
            headers = {"Range": f"bytes={offset}-", "If-Range": etag}
            with self._file(operation, path, {"params": params, "headers": headers}, what) as part:
                if not begins_anew(part, etag, offset):
                    yield part
                    return
        with self._file(operation, path, {"params": params}, what) as answer:
            yield answer

    @contextmanager
    def _file(
        self, operation: str, path: str, content: Mapping[str, Any], what: str
    ) -> Iterator[Answer]:
        with self._answered(operation, "GET", path, what, content, (200, 206)) as first:
            # With its redirects it is one call, whose whole time began with the first request.
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
        path: str,
        what: str,
        content: Mapping[str, Any],
        streamed: Collection[int] = (),
    ) -> Iterator[Answer]:
        """An answer to a token that holds: after a 401, one renewal and a second try."""
        access = self._tokens.access()
        answer = self._exchanged(operation, access, method, path, what, content, streamed)
        if answer.status == 401 and not is_not_subscribed(answer):
            access = self._tokens.renew(access.version)
            answer = self._exchanged(operation, access, method, path, what, content, streamed)
        with closing(answer.response):
            yield answer

    def _exchanged(
        self,
        operation: str,
        access: Access,
        method: str,
        path: str,
        what: str,
        content: Mapping[str, Any],
        streamed: Collection[int],
    ) -> Answer:
        self._before_call()
        self._began = time.monotonic()
        with within(self._account.timeout_seconds):
            answer = exchange(
                self._http,
                self._request(access, method, path, **content),
                account=self._account,
                operation=operation,
                what=what,
                streamed=streamed,
            )
        self.provider_time = date_of(answer.headers) or self.provider_time
        return answer

    def _request(
        self,
        access: Access,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> httpx.Request:
        sent = {
            # What is stored and resumed are the bytes themselves, not a compression of them.
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {access.token.get_secret_value()}",
            **(headers or {}),
        }
        address = self._account.base_url + path
        return self._http.build_request(method, address, headers=sent, **content)
