"""OAuth tokens that all workers share: sealed, and renewed by one worker at a time.

A renewal may invalidate the older access token, and a refresh token may work only once
(docs/providers/vonage.md, Q9). Two workers that renew at once would lock each other out.
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
from typing import TYPE_CHECKING, NamedTuple, Protocol

import httpx
from pydantic import SecretStr

from config.accounts import Account
from providers.errors import BadCredentials, ProviderError, Uncertain, Unreachable

from .deadline import within
from .exchange import Answer, exchange
from .json_answers import parsed
from .oauth import Login

# cryptography takes seven megabytes, and only accounts with tokens need it.
if TYPE_CHECKING:
    from cryptography.fernet import Fernet

#: A token is renewed this long before its end, or a tenth of its life if that is less.
_EARLY_SECONDS = 300.0
#: The life of a token whose answer does not state one; a 401 renews the token earlier if needed.
_GUESSED_SECONDS = 3600.0
_LONGEST_SECONDS = 10 * 365 * 86400
_SECONDS = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*")
_POLL_SECONDS = 0.2


class Sealed(Protocol):
    """A stored token."""

    @property
    def version(self) -> int:
        """1 for the first token, one more with each renewal."""

    @property
    def ciphertext(self) -> bytes:
        """The bytes that `put` stored."""

    @property
    def read_at(self) -> float:
        """The time of reading, in seconds since 1970 by the store's clock: hosts' clocks differ."""


class TokenStore(Protocol):
    """The storage of an account's token, shared by all workers. Renewal needs a lease."""

    def read(self) -> Sealed | None:
        """Return the stored token, or None."""

    def time(self) -> float:
        """Return the seconds since 1970 by the store's clock."""

    def claim(self, version: int, seconds: float) -> str | None:
        """Claim the right to renew for ``seconds``; return the claim. Return None unless the stored
        version is still ``version`` (0: nothing stored) and no other worker renews.
        """

    def put(self, claim: str, ciphertext: bytes) -> bool:
        """Store the next version and end the claim; return False when the claim has passed to
        another worker.
        """

    def release(self, claim: str) -> None:
        """Release the right to renew without a new token."""


@dataclass(frozen=True)
class _Kept:
    version: int
    ciphertext: bytes
    read_at: float


class PrivateTokenStore:
    """A token store in the memory of one client, which logs in again and shares its token with no
    other.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def read(self) -> Sealed | None:
        """Return the token, or None."""
        return None if self._kept is None else replace(self._kept, read_at=self.time())

    def time(self) -> float:
        """Return the time by the clock of this process."""
        return time.time()

    def claim(self, version: int, seconds: float) -> str | None:  # noqa: ARG002 - no other worker renews
        """Return a claim if the version is still this one."""
        held = self._kept.version if self._kept else 0
        return str(uuid.uuid4()) if version == held else None

    def put(self, claim: str, ciphertext: bytes) -> bool:  # noqa: ARG002 - no other worker renews
        """Store a renewed token."""
        version = self._kept.version if self._kept else 0
        self._kept = _Kept(version + 1, ciphertext, self.time())
        return True

    def release(self, claim: str) -> None:
        """Do nothing: no right is held."""


class Access(NamedTuple):
    """A token to send, and its version."""

    token: SecretStr
    version: int


@dataclass(frozen=True, repr=False)
class Token:
    """The token endpoint's answer; ``renew_at`` is in seconds since 1970 by the store's clock."""

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
        """Return whether an answer to a request means that the request's token has ended."""
        return self._login.has_ended(answer)

    def access(self) -> Access:
        """Return a token to send and its version, renewed first when it is about to end. The
        version of an access_token of accounts.toml, which is never renewed, is 0.

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
        """Return a token newer than ``failed_version``. If another worker renews the token now,
        wait for that worker, within the account's ``timeout_seconds``. Raises as `access` does.
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
                        "another worker is still renewing the token; nothing was sent",
                    )
                time.sleep(_POLL_SECONDS)
        return access

    def _newer(self, failed_version: int) -> Access | None:
        """Return a newer token, from another worker or renewed here; None while another worker
        renews.
        """
        version, token, _ = self._stored()
        if token is not None and version != failed_version:
            return Access(SecretStr(token.access_token), version)
        # Half of the time, so that a worker that waits for a dead holder has the other half.
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
        """Return a new token, by the refresh token, otherwise by one login."""
        failure: ProviderError
        try:
            return self._refreshed(old) or self._request_token(
                self._form(self._login.grant), "the login"
            )
        except Uncertain as error:
            failure = Unreachable(
                self._account.provider, f"{error}; without a token nothing was sent"
            )
        raise failure

    def _refreshed(self, old: Token | None) -> Token | None:
        if old is None or old.refresh_token is None or not self._login.refreshes:
            return None
        try:
            return self._request_token(
                self._form({"grant_type": "refresh_token", "refresh_token": old.refresh_token}),
                "the renewal of the token",
            )
        except (BadCredentials, Uncertain):
            # The refresh token was refused, or it may be used up because the answer was lost.
            return None

    def _request_token(self, request: httpx.Request, what: str) -> Token:
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
        sentence = (
            f"{what}: HTTP {answer.status}, {own.reason(answer.body)[0] or 'without a token'}"
        )
        for secret in own.secrets:
            sentence = sentence.replace(secret, "***")
        if answer.status in (400, 401, 403):
            return BadCredentials(self._account.provider, f"{sentence}; {own.advice}")
        # An API error would be wrong here: "not found" would be taken for that of a recording.
        return Uncertain(self._account.provider, sentence)

    def _form(self, grant: Mapping[str, str]) -> httpx.Request:
        return self._http.build_request(
            "POST", self._login.address, data={**grant, **self._login.client}
        )

    def _stored(self) -> tuple[int, Token | None, float]:
        """Return the version, the token if there is one, and the time of reading."""
        sealed = self._store.read()
        if sealed is None:
            return 0, None, 0.0
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        token = None
        # A token sealed under another secret cannot be read: the credentials were changed since.
        with suppress(InvalidToken, ValueError, TypeError):
            token = Token(**json.loads(self._fernet().decrypt(sealed.ciphertext)))
        return sealed.version, token, sealed.read_at

    def _seal(self, token: Token) -> bytes:
        return self._fernet().encrypt(json.dumps(asdict(token)).encode())

    def _fernet(self) -> Fernet:
        """Return the cipher that only the account's credentials can derive."""
        from cryptography.fernet import Fernet  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"earwitness token 1")
        return Fernet(base64.urlsafe_b64encode(kdf.derive("\0".join(self._login.secrets).encode())))


def _token(answer: Answer, now: float) -> Token | None:
    """Return the token in an answer, or None without a token that could be sent."""
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
    # A refresh token that cannot be sent would fail every later renewal; without it there is the
    # login.
    keeps = isinstance(refresh_token, str) and refresh_token and refresh_token.isprintable()
    return Token(
        access_token,
        refresh_token if keeps else None,
        now + life - min(_EARLY_SECONDS, life / 10),
    )


def _life(value: object) -> float:
    """Return how many seconds a token lives. A missing or unreadable life must not make the account
    unusable, so it is guessed.
    """
    is_readable = isinstance(value, int | float | str) and not isinstance(value, bool)
    written = _SECONDS.fullmatch(str(value)) if is_readable else None
    life = float(written[1]) if written else _GUESSED_SECONDS
    # WSO2 says -1 or far too much for a token that does not end.
    return life if life < _LONGEST_SECONDS else _GUESSED_SECONDS
