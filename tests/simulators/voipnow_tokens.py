"""The token endpoint of the VoipNow simulator: the client-credentials grant."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from .messages import Reply, Request, json_reply
from .voipnow_state import Account

FORM = "application/x-www-form-urlencoded"


@dataclass
class Token:
    """An access token; `ended` says why it no longer works."""

    account: Account
    expires: float
    ended: str | None = None

    def state(self) -> str:
        if self.ended:
            return self.ended
        return "valid" if time.monotonic() < self.expires else "expired"


@dataclass
class Tokens:
    """Every token of every App; an older one lives on beside a newer."""

    _tokens: dict[str, Token] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def grant(self, request: Request, accounts: Mapping[str, Account]) -> tuple[Reply, str | None]:
        """The answer to a token request, and the token that it brought."""
        form = request.form()
        if not (request.header("content-type") or "").startswith(FORM):
            return _refused(400, "invalid_request"), None
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type"), None
        account = accounts.get(form.get("client_id", ""))
        if account is None or account.client_secret != form.get("client_secret"):
            return _refused(401, "invalid_client"), None
        value = f"1.{secrets.token_urlsafe(18)}"
        life = account.switches.expires_in
        with self._lock:
            self._tokens[value] = Token(account, time.monotonic() + life)
        told = {"access_token": value, "expires_in": round(life), "token_type": "Bearer"}
        return json_reply(200, told, **{"Cache-Control": "no-store"}), value

    def read(self, authorization: str | None) -> tuple[str, Account | None]:
        """What an Authorization header is worth: its state, and whose it is."""
        if not authorization:
            return "absent", None
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer" or not value:
            return "malformed", None
        token = self._tokens.get(value.strip())
        return ("unknown", None) if token is None else (token.state(), token.account)

    def end(self, account: Account, how: str) -> None:
        """Ends every token of the App."""
        with self._lock:
            for token in self._tokens.values():
                if token.account is account:
                    token.ended = token.ended or how

    def values(self) -> list[str]:
        """Every token ever issued."""
        with self._lock:
            return list(self._tokens)


def _refused(status: int, error: str) -> Reply:
    return json_reply(status, {"error": error})
