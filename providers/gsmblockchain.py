"""Certified calls of gsmblockchain (seed 000): one GET that costs money, asked once.

The provider has no idempotency key, no status and no way back, and takes its credentials in the
query. So what this client knows after a call is only: nothing left, an OK, a KO, or nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from config.accounts import GsmblockchainAccount

from .deadline import Transport, within
from .errors import BadCredentials, ProviderError, Rejected, Uncertain, Unreachable
from .exchange import exchange
from .gsmblockchain_answers import NotUnderstood, Said, read
from .headers import retry_after
from .privacy import tellable

NAME = "gsmblockchain"
_PATH = "/services/sendCertifiedCallRecorder.php"
_WHAT = "certified call"
_SENDING = "http11.send_request_headers.started"
#: So much of an answer is kept as evidence, in bytes; the platform's own has some dozens.
MOST_KEPT_BYTES = 64 << 10


@dataclass(frozen=True)
class Placed:
    """An understood OK: the platform accepted the request. ``platform_phone`` is the number that it
    gave, if any; ``answer`` the bytes that said so.
    """

    platform_phone: str | None
    http_status: int
    answer: bytes = field(repr=False)


@dataclass(frozen=True)
class _Heard:
    """An answer without the request that it answers."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None


class Refused(Rejected):
    """An understood KO: ``message`` is the platform's, ``answer`` the bytes that said so."""

    def __init__(
        self, provider: str, reason: str, http_status: int, answer: bytes, message: str | None
    ) -> None:
        super().__init__(provider, reason)
        self.args = (provider, reason, http_status, answer, message)
        self.http_status = http_status
        self.answer = answer
        self.message = message


class RefusedCredentials(Refused, BadCredentials):
    """A KO that speaks of the user or the password."""


class Unclear(Uncertain):
    """No answer, or none that can be understood: the call may have been placed. ``http_status`` and
    ``answer`` are what came, ``retry_after`` the seconds that a 429 or 503 asked for.
    """

    def __init__(
        self,
        provider: str,
        reason: str,
        http_status: int | None = None,
        answer: bytes = b"",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(provider, reason)
        self.args = (provider, reason, http_status, answer, retry_after)
        self.http_status = http_status
        self.answer = answer
        self.retry_after = retry_after


class _Gate:
    """httpx's trace hook: lets the request's bytes leave once ``before_bytes`` has returned."""

    def __init__(self, before_bytes: Callable[[], None]) -> None:
        self.passed = False
        self.refusal: Exception | None = None
        self._before_bytes = before_bytes

    def __call__(self, event: str, _details: object) -> None:
        if event != _SENDING:
            return
        try:
            self._before_bytes()
        except Exception as refusal:
            self.refusal = refusal
            raise
        self.passed = True


class Gsmblockchain:
    """Requests certified calls of one account."""

    def __init__(
        self, account: GsmblockchainAccount, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._account = account
        self._transport = transport

    def call(
        self,
        *,
        country: str,
        phone: str,
        max_seconds: int,
        company_name: str,
        company_id: str,
        before_bytes: Callable[[], None],
    ) -> Placed:
        """Request one certified call, over a connection of its own that is opened first.

        Parameters: ``country`` (ISO 3166 alpha-2), ``phone`` (its national digits), ``max_seconds``
        (the call's longest duration), the party's ``company_name`` and ``company_id``.
        ``before_bytes`` is called once, when the connection stands and no byte has left; what it
        raises is raised here, and nothing was sent. Its time counts in the account's
        ``timeout_seconds``.

        Raises Unreachable (nothing was sent), Refused or RefusedCredentials (an understood KO), and
        Unclear (everything else: the call may have been placed).
        """
        gate = _Gate(before_bytes)
        failure: Exception
        try:
            heard = self._heard(
                gate,
                {
                    "countryID": country,
                    "phone": phone,
                    "time": str(max_seconds),
                    "companyName": company_name,
                    # The page's table says companyID, its example CompanyID (seed 000); PHP tells
                    # them apart.
                    "companyID": company_id,
                    "CompanyID": company_id,
                },
            )
        except Exception as error:  # noqa: BLE001 - what it means depends on the gate alone
            failure = _meaning(gate, error)
        else:
            return self._understood(heard)
        # Neither cause nor context nor frames: they hold the request, and with it the password.
        raise failure.with_traceback(None)

    def _heard(self, gate: _Gate, asked: dict[str, str]) -> _Heard:
        account = self._account
        with (
            httpx.Client(
                transport=self._transport or Transport(verify=account.verify_tls),
                timeout=account.timeout_seconds,
                trust_env=False,
                follow_redirects=False,
            ) as http,
            within(account.timeout_seconds),
        ):
            answer = exchange(
                http,
                http.build_request(
                    "GET",
                    account.base_url + _PATH,
                    params={
                        "user": account.username,
                        "pass": account.password.get_secret_value(),
                        **asked,
                    },
                    headers={"Connection": "close", "Accept-Encoding": "identity"},
                    extensions={"trace": gate},
                ),
                provider=NAME,
                what=_WHAT,
            )
            return _Heard(answer.status, answer.body, retry_after(answer.headers))

    def _understood(self, heard: _Heard) -> Placed:
        """Judged by an understood body with status 200 alone (design 4)."""
        kept = heard.body[:MOST_KEPT_BYTES]
        said: Said | None = None
        if heard.status == 200 and len(kept) == len(heard.body):
            said = _read(heard.body)
        if said is None:
            raise Unclear(
                NAME,
                f"{_WHAT}: HTTP {heard.status} with an answer that is neither OK nor KO",
                heard.status,
                kept,
                heard.retry_after if heard.status in (429, 503) else None,
            )
        if said.ok:
            return Placed(said.phone, heard.status, kept)
        message = self._without_login(said.message or "")
        reason = f"{_WHAT}: the platform refused it" + (f" ({message})" if message else "")
        kind = RefusedCredentials if said.refuses_credentials else Refused
        raise kind(NAME, reason, heard.status, kept, message or None)

    def _without_login(self, message: str) -> str:
        for secret in (self._account.password.get_secret_value(), self._account.username):
            message = message.replace(secret, "***")
        return tellable(message)


def _read(body: bytes) -> Said | None:
    try:
        return read(body)
    except NotUnderstood:
        return None


def _meaning(gate: _Gate, error: Exception) -> Exception:
    """What an exception on the way means: the gate's own refusal is handed on as it is."""
    if gate.refusal is not None:
        return gate.refusal
    if not gate.passed:
        reason = error.reason if isinstance(error, ProviderError) else type(error).__name__
        return Unreachable(NAME, reason)
    if isinstance(error, ProviderError):
        return Unclear(NAME, error.reason)
    return Unclear(NAME, f"{_WHAT}: no answer came ({type(error).__name__})")
