"""OAuth tokens that all workers share: sealed, and renewed by one of them at a time.

A renewal kills the older access token, and a refresh token serves once (providers.md 4.1): two that
renew at once would lock each other out.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

import httpx
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from config.accounts import VonageAccount

from .deadline import within
from .errors import BadCredentials, ProviderError, Uncertain, Unreachable
from .exchange import Answer, exchange
from .vonage_refusals import NAME, error_reason, refusal

#: A token is renewed this long before its end, or a tenth of its life if that is less.
_EARLY_SECONDS = 300.0
#: The life of a token whose answer does not tell it; a 401 renews it before, if need be.
_GUESSED_SECONDS = 3600.0
_POLL_SECONDS = 0.2


class Sealed(Protocol):
    """A stored token."""

    @property
    def version(self) -> int:
        """1 for the first, one more with each renewal."""

    @property
    def ciphertext(self) -> bytes:
        """What `put` was given."""


class Shelf(Protocol):
    """Where an account's token lies for all workers; renewing it is a lease."""

    def read(self) -> Sealed | None:
        """The stored token, or None."""

    def claim(self, version: int, seconds: float) -> str | None:
        """The right to renew for so many seconds; None unless the stored version is still
        ``version`` (0: nothing stored) and nobody renews.
        """

    def put(self, claim: str, ciphertext: bytes) -> bool:
        """Store the next version and end the claim; False when it has passed to another."""

    def release(self, claim: str) -> None:
        """Give the right back without a new token."""


class Access(NamedTuple):
    """A token to send, and its version."""

    token: SecretStr
    version: int


@dataclass(frozen=True, repr=False)
class Token:
    """What the token endpoint gave; ``renew_at`` in seconds since 1970."""

    access_token: str
    refresh_token: str | None
    renew_at: float


class Tokens:
    """The token of one account."""

    def __init__(self, account: VonageAccount, shelf: Shelf, http: httpx.Client) -> None:
        self._account = account
        self._shelf = shelf
        self._http = http

    def access(self) -> Access:
        """A token to send and its version (0 for an access_token of accounts.toml, which is never
        renewed); renewed first when it is about to end.

        Raises BadCredentials when a login is refused, Throttled, and Unreachable for everything
        else: without a token nothing is sent.
        """
        if self._account.access_token is not None:
            return Access(self._account.access_token, 0)
        version, token = self._stored()
        if token is not None and time.time() < token.renew_at:
            return Access(SecretStr(token.access_token), version)
        return self.renew(version)

    def renew(self, failed_version: int) -> Access:
        """A token newer than ``failed_version``. Another worker may have renewed it already, or
        does so now and is waited for, within the account's ``timeout_seconds``. Raises as above.
        """
        if self._account.access_token is not None:
            raise BadCredentials(NAME, "the provider refuses the account's access_token")
        until = time.monotonic() + self._account.timeout_seconds
        with within(self._account.timeout_seconds):
            while (access := self._newer(failed_version)) is None:
                if time.monotonic() > until:
                    raise Unreachable(
                        NAME, "another worker renews the token and has not ended; nothing was sent"
                    )
                time.sleep(_POLL_SECONDS)
        return access

    def _newer(self, failed_version: int) -> Access | None:
        """A newer token, of another or renewed here; None while another renews it."""
        version, token = self._stored()
        if token is not None and version != failed_version:
            return Access(SecretStr(token.access_token), version)
        # Half of the time, so that who waits for a holder that died has the other half.
        seconds = self._account.timeout_seconds / 2
        claim = self._shelf.claim(version, seconds)
        if claim is None:
            return None
        kept = False
        try:
            with within(seconds):
                token = self._granted(token)
            kept = self._shelf.put(claim, self._seal(token))
        finally:
            if not kept:
                self._shelf.release(claim)
        return Access(SecretStr(token.access_token), version + 1) if kept else None

    def _granted(self, old: Token | None) -> Token:
        """A new token: by the refresh token, else by one login."""
        failure: ProviderError
        try:
            return self._refreshed(old) or self._asked(self._login(), "the login")
        except Uncertain as error:
            failure = Unreachable(NAME, f"{error}; without a token nothing was sent")
        raise failure

    def _refreshed(self, old: Token | None) -> Token | None:
        if old is None or old.refresh_token is None:
            return None
        try:
            return self._asked(self._refresh(old), "the renewal of the token")
        except (BadCredentials, Uncertain):
            # Refused, or the answer was lost and the refresh token may be used up with it.
            return None

    def _asked(self, request: httpx.Request, what: str) -> Token:
        answer = exchange(self._http, request, provider=NAME, what=what)
        del request
        token = _token(answer) if answer.status == 200 else None
        if token is None:
            raise self._refusal(answer, what)
        return token

    def _refusal(self, answer: Answer, what: str) -> ProviderError:
        if answer.status in (429, 503):
            return refusal(answer, what)
        said = f"{what}: HTTP {answer.status}, {error_reason(answer.body)[0] or 'without a token'}"
        for secret in (self._account.password, self._account.client_secret):
            said = said.replace(_value(secret), "***")
        if answer.status in (400, 401, 403):
            return BadCredentials(
                NAME,
                f"{said}; check username, password, client_id and client_secret, and that the user "
                "signs in with a password, not by single sign-on",
            )
        # None of the API's answers: "not found" would be taken for that of a recording.
        return Uncertain(NAME, said)

    def _login(self) -> httpx.Request:
        account = self._account
        return self._grant(
            grant_type="password",
            username=account.username or "",
            password=_value(account.password),
            scope="openid",
        )

    def _refresh(self, old: Token) -> httpx.Request:
        return self._grant(grant_type="refresh_token", refresh_token=old.refresh_token or "")

    def _grant(self, **fields: str) -> httpx.Request:
        account = self._account
        client = {
            "client_id": account.client_id or "",
            "client_secret": _value(account.client_secret),
        }
        return self._http.build_request("POST", account.token_url, data={**fields, **client})

    def _stored(self) -> tuple[int, Token | None]:
        sealed = self._shelf.read()
        if sealed is None:
            return 0, None
        try:
            return sealed.version, Token(**json.loads(self._fernet().decrypt(sealed.ciphertext)))
        except (InvalidToken, ValueError, TypeError):
            # Sealed under another secret: the account's credentials were changed since.
            return sealed.version, None

    def _seal(self, token: Token) -> bytes:
        return self._fernet().encrypt(json.dumps(asdict(token)).encode())

    def _fernet(self) -> Fernet:
        """Only who has the account's credentials can open its token."""
        secrets = (_value(self._account.password), _value(self._account.client_secret))
        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"earwitness token 1")
        return Fernet(base64.urlsafe_b64encode(kdf.derive("\0".join(secrets).encode())))


def _value(secret: SecretStr | None) -> str:
    assert secret is not None, "an account has access_token or all of the others"
    return secret.get_secret_value()


def _token(answer: Answer) -> Token | None:
    """The token in an answer, or None where there is none that could be sent."""
    try:
        content = json.loads(answer.body)
        access_token, refresh_token = content["access_token"], content.get("refresh_token")
        life = float(content.get("expires_in", _GUESSED_SECONDS))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    sendable = isinstance(access_token, str) and access_token.isascii()
    if not sendable or not access_token.isprintable() or not access_token.strip():
        return None
    if not 0 <= life < 10 * 365 * 86400:
        life = _GUESSED_SECONDS  # WSO2 says -1 or far too much for a token that does not end
    return Token(
        access_token,
        refresh_token if isinstance(refresh_token, str) and refresh_token else None,
        time.time() + life - min(_EARLY_SECONDS, life / 10),
    )
