"""OAuth tokens that all workers share: sealed, and renewed by one of them at a time.

A renewal kills the older access token, and a refresh token serves once (providers.md 4.1): two that
renew at once would lock each other out.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import httpx
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.accounts import VonageAccount
from config.logging import mask

from .errors import BadCredentials, Throttled, Uncertain, Unreachable

NAME = "vonage"

#: A token is renewed this long before its end, or at nine tenths of a short life.
_EARLY_SECONDS = 300.0
_POLL_SECONDS = 0.15


class Sealed(Protocol):
    """A stored token: its version and its ciphertext."""

    @property
    def version(self) -> int: ...
    @property
    def ciphertext(self) -> bytes: ...


class Shelf(Protocol):
    """Where an account's token lies; the ledger has one."""

    def read(self) -> Sealed | None: ...
    def claim(self, version: int, seconds: float) -> str | None: ...
    def put(self, claim: str, ciphertext: bytes) -> bool: ...
    def release(self, claim: str) -> None: ...


@dataclass(frozen=True)
class Token:
    """What the token endpoint gave; ``renew_at`` in seconds since 1970."""

    access_token: str
    refresh_token: str | None
    renew_at: float

    def __repr__(self) -> str:
        return "Token(...)"


class Tokens:
    """The token of one account."""

    def __init__(self, account: VonageAccount, shelf: Shelf, http: httpx.Client) -> None:
        self._account = account
        self._shelf = shelf
        self._http = http

    def access(self) -> tuple[str, int]:
        """A token to send and its version; renewed first when it is about to end.

        Raises BadCredentials when a login is refused, and Unreachable, Throttled or Uncertain.
        """
        if self._account.access_token is not None:
            return self._account.access_token.get_secret_value(), 0
        version, token = self._stored()
        if token is not None and time.time() < token.renew_at:
            return token.access_token, version
        return self.renew(version)

    def renew(self, failed_version: int) -> tuple[str, int]:
        """A token newer than ``failed_version``; another worker may have renewed it already, or
        does so now and is waited for.
        """
        until = time.monotonic() + self._account.timeout_seconds
        while True:
            version, token = self._stored()
            if version != failed_version and token is not None:
                return token.access_token, version
            claim = self._shelf.claim(version, self._account.timeout_seconds + 5)
            if claim is not None:
                return self._renewed(claim, token)
            if time.monotonic() > until:
                raise Unreachable(NAME, "another worker renews the token and does not come back")
            time.sleep(_POLL_SECONDS)

    def _renewed(self, claim: str, old: Token | None) -> tuple[str, int]:
        kept = False
        try:
            token = self._refreshed(old) or self._logged_in()
            kept = self._shelf.put(claim, self._seal(token))
        finally:
            if not kept:
                self._shelf.release(claim)
        version, stored = self._stored()
        if stored is None:
            raise Uncertain(NAME, "the renewed token could not be stored")
        return stored.access_token, version

    def _refreshed(self, old: Token | None) -> Token | None:
        """The token of a refresh grant; None where there is none or it is refused."""
        if old is None or old.refresh_token is None:
            return None
        try:
            return self._granted(
                {"grant_type": "refresh_token", "refresh_token": old.refresh_token}
            )
        except BadCredentials:
            return None

    def _logged_in(self) -> Token:
        account = self._account
        assert account.password is not None
        return self._granted(
            {
                "grant_type": "password",
                "username": account.username or "",
                "password": account.password.get_secret_value(),
                "scope": "openid",
            }
        )

    def _granted(self, fields: dict[str, str]) -> Token:
        account = self._account
        assert account.client_secret is not None
        client = {
            "client_id": account.client_id or "",
            "client_secret": account.client_secret.get_secret_value(),
        }
        try:
            answer = self._http.post(str(account.token_url), data={**fields, **client})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise Unreachable(NAME, "the token endpoint could not be reached") from None
        except httpx.RequestError as error:
            raise Uncertain(
                NAME, f"the token endpoint gave no answer ({type(error).__name__})"
            ) from None
        return _token(answer)

    def _stored(self) -> tuple[int, Token | None]:
        sealed = self._shelf.read()
        if sealed is None:
            return 0, None
        try:
            content = json.loads(self._fernet().decrypt(sealed.ciphertext))
            return sealed.version, Token(**content)
        except (InvalidToken, ValueError, TypeError):
            # Sealed under another secret: the account's credentials were changed since.
            return sealed.version, None

    def _seal(self, token: Token) -> bytes:
        return self._fernet().encrypt(json.dumps(asdict(token)).encode())

    def _fernet(self) -> Fernet:
        account = self._account
        assert account.password is not None and account.client_secret is not None
        secret = "\0".join(
            (account.password.get_secret_value(), account.client_secret.get_secret_value())
        )
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"earwitness token 1").derive(
            secret.encode()
        )
        return Fernet(base64.urlsafe_b64encode(key))


def _token(answer: httpx.Response) -> Token:
    content = _content(answer)
    if answer.status_code in (429, 503):
        retry_after = answer.headers.get("Retry-After", "")
        raise Throttled(
            NAME,
            f"the token endpoint: HTTP {answer.status_code}",
            float(retry_after) if retry_after.isdigit() else None,
        )
    if answer.status_code in (400, 401, 403):
        said = ": ".join(
            str(content[name]) for name in ("error", "error_description") if content.get(name)
        )
        raise BadCredentials(NAME, mask(f"the login was refused: {said or answer.status_code}"))
    access_token = content.get("access_token")
    if answer.status_code != 200 or not isinstance(access_token, str) or not access_token:
        raise Uncertain(NAME, f"the token endpoint: HTTP {answer.status_code} without a token")
    life = float(content.get("expires_in") or 3600)
    refresh_token = content.get("refresh_token")
    return Token(
        access_token,
        str(refresh_token) if refresh_token else None,
        time.time() + max(life - _EARLY_SECONDS, life * 0.9 if life <= 10 * _EARLY_SECONDS else 0),
    )


def _content(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
