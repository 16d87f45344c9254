"""OAuth tokens of the Vonage simulator: issued, renewed, expired, revoked.

As with WSO2's gateway: one access token at a time for a client and user; a renewal ends the
older one; a refresh token works once.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from .vonage_state import Account


class Refused(Exception):
    """The token endpoint says no: HTTP status and OAuth error."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.description = description


@dataclass
class Token:
    """An access or refresh token; `ended` says why it no longer works."""

    value: str
    account: Account
    expires: float
    ended: str | None = None

    def state(self) -> str:
        """One of valid, expired, or how it was ended: replaced, revoked, used."""
        if self.ended:
            return self.ended
        return "valid" if time.monotonic() < self.expires else "expired"


@dataclass
class Grant:
    """What one login or renewal brought."""

    access: Token
    refresh: Token
    scope: str
    id_token: str | None

    def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "access_token": self.access.value,
            "refresh_token": self.refresh.value,
            "scope": self.scope,
            "token_type": "Bearer",
            "expires_in": max(0, round(self.access.expires - time.monotonic())),
        }
        if self.id_token:
            answer["id_token"] = self.id_token
        return answer

    def secrets(self) -> list[str]:
        return [t for t in (self.access.value, self.refresh.value, self.id_token) if t]


@dataclass
class Tokens:
    """Every token of every account."""

    _access: dict[str, Token] = field(default_factory=dict)
    _refresh: dict[str, Token] = field(default_factory=dict)
    _current: dict[str, Grant] = field(default_factory=dict)
    _id_tokens: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def login(self, account: Account, scope: str) -> Grant:
        """The password grant, once the password was found right. While the last token is
        valid it is given out again with the rest of its life, unless a switch says "new".
        """
        with self._lock:
            current = self._current.get(account.username)
            again = account.switches.repeated_login == "same"
            if current and again and current.access.state() == current.refresh.state() == "valid":
                return current
            return self._renew(account, scope)

    def refresh(self, account: Account, value: str) -> Grant:
        """The refresh grant; raises Refused for a token that is unknown, used or too old."""
        with self._lock:
            token = self._refresh.get(value)
            if token is None or token.account is not account or token.state() != "valid":
                raise Refused(400, "invalid_grant", "Persisted access token data not found")
            token.ended = "used"
            current = self._current.get(account.username)
            return self._renew(account, current.scope if current else "default")

    def owner_of_refresh(self, value: str) -> Account | None:
        token = self._refresh.get(value)
        return token.account if token else None

    def _renew(self, account: Account, scope: str) -> Grant:
        self.end(account, "replaced")
        now = time.monotonic()
        access = Token(str(uuid.uuid4()), account, now + account.switches.expires_in)
        life = account.switches.refresh_expires_in
        refresh = Token(str(uuid.uuid4()), account, now + life)
        id_token = _id_token(account) if "openid" in scope.split() else None
        self._id_tokens += [id_token] if id_token else []
        self._access[access.value] = access
        self._refresh[refresh.value] = refresh
        self._current[account.username] = Grant(access, refresh, scope, id_token)
        return self._current[account.username]

    def issue(self, account: Account) -> str:
        """A token made in the vendor's portal: it never expires and is not renewed."""
        with self._lock:
            token = Token(str(uuid.uuid4()), account, float("inf"))
            self._access[token.value] = token
            return token.value

    def end(self, account: Account, how: str, refresh: bool = False) -> None:
        """Ends the access token of the last grant (the refresh token too, if wished)."""
        with self._lock:
            grant = self._current.get(account.username)
            if grant is None:
                return
            grant.access.ended = grant.access.ended or how
            if refresh:
                grant.refresh.ended = grant.refresh.ended or how

    def revoke_issued(self, account: Account) -> None:
        """Ends every access token of the account, the ones from the portal too."""
        for token in list(self._access.values()):
            if token.account is account:
                token.ended = token.ended or "revoked"

    def read(self, authorization: str | None) -> tuple[str, Account | None]:
        """What an Authorization header is worth: its state, and whose it is."""
        if not authorization:
            return "absent", None
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer" or not value:
            return "malformed", None
        token = self._access.get(value.strip())
        return ("unknown", None) if token is None else (token.state(), token.account)

    def values(self) -> list[str]:
        """Every token ever issued."""
        with self._lock:
            return [*self._access, *self._refresh, *self._id_tokens]


def _id_token(account: Account) -> str:
    claims = {"sub": account.username, "iat": int(time.time()), "jti": uuid.uuid4().hex}
    parts = [json.dumps({"alg": "RS256"}).encode(), json.dumps(claims).encode()]
    parts.append(secrets.token_bytes(64))
    return ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts)
