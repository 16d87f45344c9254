"""OAuth tokens that all workers share: sealed, and renewed by one worker at a time.

A renewal may invalidate the older access token, and a refresh token may serve once
(docs/providers/vonage.md, Q9): two workers that renew at once would lock each other out.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple, Protocol

import httpx
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from config.accounts import Account
from providers.errors import BadCredentials, ProviderError, Uncertain, Unreachable

from .deadline import within
from .exchange import Answer, exchange
from .json_answers import parsed
from .oauth import Login

#: A token is renewed this long before its end, or a tenth of its life if that is less.
_EARLY_SECONDS = 300.0
#: The life of a token whose answer does not tell it; a 401 renews it before, if need be.
_GUESSED_SECONDS = 3600.0
_LONGEST_SECONDS = 10 * 365 * 86400
_SECONDS = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*")
_POLL_SECONDS = 0.2


class Sealed(Protocol):
    """A stored token."""

    @property
    def version(self) -> int:
        """1 for the first, one more with each renewal."""

    @property
    def ciphertext(self) -> bytes:
        """What `put` was given."""

    @property
    def read_at(self) -> float:
        """When it was read, in seconds since 1970 by the store's clock: hosts' clocks differ."""


class TokenStore(Protocol):
    """Where an account's token lies for all workers; renewing it is a lease."""

    def read(self) -> Sealed | None:
        """The stored token, or None."""

    def time(self) -> float:
        """Seconds since 1970 by the store's clock."""

    def claim(self, version: int, seconds: float) -> str | None:
        """The right to renew for so many seconds; None unless the stored version is still
        ``version`` (0: nothing stored) and nobody renews.
        """

    def put(self, claim: str, ciphertext: bytes) -> bool:
        """Store the next version and end the claim; False when it has passed to another."""

    def release(self, claim: str) -> None:
        """Give the right back without a new token."""


@dataclass(frozen=True)
class _Kept:
    version: int
    ciphertext: bytes
    read_at: float


class PrivateTokenStore:
    """A token store in memory, of one client alone: it logs in anew, and shares its token with
    nobody.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def read(self) -> Sealed | None:
        """The token, or None."""
        return None if self._kept is None else replace(self._kept, read_at=self.time())

    def time(self) -> float:
        """The clock of this process."""
        return time.time()

    def claim(self, version: int, seconds: float) -> str | None:  # noqa: ARG002 - nobody else renews
        """The right to renew, if the version is still this one."""
        held = self._kept.version if self._kept else 0
        return str(uuid.uuid4()) if version == held else None

    def put(self, claim: str, ciphertext: bytes) -> bool:  # noqa: ARG002 - nobody else renews
        """Keep a renewed token."""
        version = self._kept.version if self._kept else 0
        self._kept = _Kept(version + 1, ciphertext, self.time())
        return True

    def release(self, claim: str) -> None:
        """Nothing is held."""


class Access(NamedTuple):
    """A token to send, and its version."""

    token: SecretStr
    version: int


@dataclass(frozen=True, repr=False)
class Token:
    """What the token endpoint gave; ``renew_at`` in seconds since 1970 by the store's clock."""

    access_token: str
    refresh_token: str | None
    renew_at: float


class Tokens:
    """The token of one account."""

    def __init__(
        self, account: Account, login: Login, store: TokenStore | None, http: httpx.Client
    ) -> None:
        if store is None:
            raise TypeError(f"the client of a {account.provider} account needs a token store")
        self._account = account
        self._login = login
        self._store = store
        self._http = http

    def has_ended(self, answer: Answer) -> bool:
        """Whether an answer to a request means that the token it was sent with has ended."""
        return self._login.has_ended(answer)

    def access(self) -> Access:
        """A token to send and its version (0 for an access_token of accounts.toml, which is never
        renewed); renewed first when it is about to end.

        Raises BadCredentials when a login is refused, Throttled, and Unreachable for everything
        else: without a token nothing is sent.
        """
        if self._login.standing is not None:
            return Access(self._login.standing, 0)
        version, token, read_at = self._stored()
        if token is not None and read_at < token.renew_at:
            return Access(SecretStr(token.access_token), version)
        return self.renew(version)

    def renew(self, failed_version: int) -> Access:
        """A token newer than ``failed_version``. Another worker may have renewed it already, or
        does so now and is waited for, within the account's ``timeout_seconds``. Raises as above.
        """
        if self._login.standing is not None:
            raise BadCredentials(
                self._account.provider, "the provider refuses the account's access_token"
            )
        until = time.monotonic() + self._account.timeout_seconds
        with within(self._account.timeout_seconds):
            while (access := self._newer(failed_version)) is None:
                if time.monotonic() > until:
                    raise Unreachable(
                        self._account.provider,
                        "another worker renews the token and has not ended; nothing was sent",
                    )
                time.sleep(_POLL_SECONDS)
        return access

    def _newer(self, failed_version: int) -> Access | None:
        """A newer token, of another or renewed here; None while another renews it."""
        version, token, _ = self._stored()
        if token is not None and version != failed_version:
            return Access(SecretStr(token.access_token), version)
        # Half of the time, so that who waits for a holder that died has the other half.
        seconds = self._account.timeout_seconds / 2
        claim = self._store.claim(version, seconds)
        if claim is None:
            return None
        kept = False
        try:
            with within(seconds):
                token = self._granted(token)
            kept = self._store.put(claim, self._seal(token))
        finally:
            if not kept:
                self._store.release(claim)
        return Access(SecretStr(token.access_token), version + 1) if kept else None

    def _granted(self, old: Token | None) -> Token:
        """A new token: by the refresh token, else by one login."""
        failure: ProviderError
        try:
            return self._refreshed(old) or self._asked(self._form(self._login.grant), "the login")
        except Uncertain as error:
            failure = Unreachable(
                self._account.provider, f"{error}; without a token nothing was sent"
            )
        raise failure

    def _refreshed(self, old: Token | None) -> Token | None:
        if old is None or old.refresh_token is None or not self._login.refreshes:
            return None
        try:
            return self._asked(
                self._form({"grant_type": "refresh_token", "refresh_token": old.refresh_token}),
                "the renewal of the token",
            )
        except (BadCredentials, Uncertain):
            # Refused, or the answer was lost and the refresh token may be used up with it.
            return None

    def _asked(self, request: httpx.Request, what: str) -> Token:
        answer = exchange(self._http, request, account=self._account, operation="login", what=what)
        del request
        token = _token(answer, self._store.time()) if answer.status == 200 else None
        if token is None:
            raise self._refusal(answer, what)
        return token

    def _refusal(self, answer: Answer, what: str) -> ProviderError:
        own = self._login
        if answer.status in (429, 503):
            return own.refusal(answer, what)
        said = f"{what}: HTTP {answer.status}, {own.reason(answer.body)[0] or 'without a token'}"
        for secret in own.secrets:
            said = said.replace(secret, "***")
        if answer.status in (400, 401, 403):
            return BadCredentials(self._account.provider, f"{said}; {own.advice}")
        # None of the API's answers: "not found" would be taken for that of a recording.
        return Uncertain(self._account.provider, said)

    def _form(self, grant: Mapping[str, str]) -> httpx.Request:
        return self._http.build_request(
            "POST", self._login.address, data={**grant, **self._login.client}
        )

    def _stored(self) -> tuple[int, Token | None, float]:
        """The version, the token where there is one, and when it was read."""
        sealed = self._store.read()
        if sealed is None:
            return 0, None, 0.0
        token = None
        # Sealed under another secret, it can not be read: the credentials were changed since.
        with suppress(InvalidToken, ValueError, TypeError):
            token = Token(**json.loads(self._fernet().decrypt(sealed.ciphertext)))
        return sealed.version, token, sealed.read_at

    def _seal(self, token: Token) -> bytes:
        return self._fernet().encrypt(json.dumps(asdict(token)).encode())

    def _fernet(self) -> Fernet:
        """Only who has the account's credentials can open its token."""
        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"earwitness token 1")
        return Fernet(base64.urlsafe_b64encode(kdf.derive("\0".join(self._login.secrets).encode())))


def _token(answer: Answer, now: float) -> Token | None:
    """The token in an answer, or None where there is none that could be sent."""
    try:
        content = parsed(answer.body)
        access_token, refresh_token = content["access_token"], content.get("refresh_token")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if isinstance(access_token, str):
        access_token = access_token.strip()
    sendable = isinstance(access_token, str) and access_token.isascii()
    if not sendable or not access_token.isprintable() or not access_token.strip():
        return None
    life = _life(content.get("expires_in"))
    # One that could not be sent would fail every renewal to come; without it there is the login.
    keeps = isinstance(refresh_token, str) and refresh_token and refresh_token.isprintable()
    return Token(
        access_token,
        refresh_token if keeps else None,
        now + life - min(_EARLY_SECONDS, life / 10),
    )


def _life(value: object) -> float:
    """How many seconds a token lives. A life that the answer does not state, or states in a form
    that is not read, must not make the account unusable: it is guessed.
    """
    is_readable = isinstance(value, int | float | str) and not isinstance(value, bool)
    written = _SECONDS.fullmatch(str(value)) if is_readable else None
    life = float(written[1]) if written else _GUESSED_SECONDS
    # WSO2 says -1 or far too much for a token that does not end.
    return life if life < _LONGEST_SECONDS else _GUESSED_SECONDS
