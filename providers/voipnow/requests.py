"""Requests of one VoipNow account: with a token that holds, and each within its deadline."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from providers.http.deadline import Transport, within
from providers.http.exchange import Answer, connected, exchange
from providers.http.headers import date_of
from providers.http.tokens import Access, Tokens, TokenStore

from .account import VoipnowAccount
from .login import login
from .refusals import refusal

_SUCCESS = (200, 204)
#: A token that has ended is 401 in the vendor's list; its own sample application renews on 403.
_RENEWING = (401, 403)


class Requests:
    """Sends requests below the account's api_path; used by one thread, to be closed.

    ``provider_time`` is the newest answer's Date, in UTC. ``before_call`` is called before each
    request of an operation; renewals of the token do not count.
    """

    def __init__(
        self,
        account: VoipnowAccount,
        shelf: TokenStore,
        transport: httpx.BaseTransport | None,
        before_call: Callable[[], None] | None,
    ) -> None:
        self.provider_time: datetime | None = None
        self._account = account
        self._before_call = before_call or (lambda: None)
        self._http = connected(account, transport or Transport(verify=account.verify_tls))
        self._tokens = Tokens(account, login(account), shelf, self._http)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def answer(self, operation: str, method: str, path: str, what: str, **content: Any) -> Answer:
        """A whole answer of success; ``content`` is httpx's params or json, ``operation`` the word
        under which the request is measured. After a 401 or a 403 the token is renewed once, unless
        another worker has done so, and the request sent again.

        Raises what voipnow_refusals makes of any other answer, and Unreachable and Uncertain for
        what befell the connection.
        """
        access = self._tokens.access()
        answer = self._exchanged(operation, access, method, path, what, **content)
        if answer.status in _RENEWING:
            access = self._tokens.renew(access.version)
            answer = self._exchanged(operation, access, method, path, what, **content)
        if answer.status not in _SUCCESS:
            raise refusal(answer, what)
        return answer

    def _exchanged(
        self, operation: str, access: Access, method: str, path: str, what: str, **content: Any
    ) -> Answer:
        self._before_call()
        with within(self._account.timeout_seconds):
            answer = exchange(
                self._http,
                self._request(access, method, path, **content),
                account=self._account,
                operation=operation,
                what=what,
            )
        self.provider_time = date_of(answer.headers) or self.provider_time
        return answer

    def _request(self, access: Access, method: str, path: str, **content: Any) -> httpx.Request:
        address = self._account.base_url + self._account.api_path + path
        authorization = f"Bearer {access.token.get_secret_value()}"
        return self._http.build_request(
            method, address, headers={"Authorization": authorization}, **content
        )
