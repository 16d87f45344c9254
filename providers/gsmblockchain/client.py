"""Certified, recorded calls through gsmblockchain. Each call is paid.

The documented facts and the open questions: docs/providers/gsmblockchain.md. An answer holds no id
and the platform has no list: only the answer tells whether a call was placed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

import httpcore
import httpx

from config.masking import HIDDEN, holds_secret, mask_foreign, without
from config.version import VERSION
from providers.errors import BadCredentials, ProviderError, Rejected, Uncertain, Unreachable
from providers.http.deadline import connect
from providers.http.headers import retry_after
from providers.http.instrumentation import (
    NOT_SENT,
    OK,
    REFUSED,
    UNAUTHORIZED,
    UNREACHABLE,
    Observation,
    outcome_of,
)
from providers.http.redaction import description
from providers.http.tokens import TokenStore
from providers.interface import Placed, PlacesCertifiedCalls

from .account import GsmblockchainAccount
from .answers import Verdict, understood
from .connection import Sending
from .redaction import kept_answer, kept_field

__all__ = ["NAME", "Gsmblockchain", "Placed", "Refused", "RefusedCredentials", "Unanswered"]

NAME = "gsmblockchain"

_PATH = "/services/sendCertifiedCallRecorder.php"
_HEADERS = {
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": f"earwitness/{VERSION}",
}
#: The sent values that no reason may quote.
_PRIVATE = ("user", "pass", "phone", "companyName", "companyID")
_MOST_REASON = 300
_UNTRIED = "user and password were not tried, since every request is a paid call"
#: The texts of errorMessage are not documented. A text counts as about credentials if it names the
#: password or the like, and says that it is wrong.
_CREDENTIALS = re.compile(
    r"(?i)\b(?:password|passwd|contrase[nñ]a|credentials?|credencial(?:es)?|"
    r"user(?:name)?\s*(?:/|or|and)\s*pass)\b"
)
_WRONG = re.compile(
    r"(?i)\b(?:wrong|bad|invalid|inv[aá]lid[oa]s?|incorrect[oa]?s?|err[oó]ne[oa]s?|"
    r"not (?:valid|correct)|no (?:es )?(?:v[aá]lid|correct)[oa]s?|do(?:es)? not match)\b"
)


class _Answered(ProviderError):
    """An error with the platform's answer: ``http_status`` and ``answer``, None and empty without
    one.

    The answer is not in the args, which Celery stores and repr shows: the answer may quote numbers.
    """

    def __init__(
        self, provider: str, reason: str, http_status: int | None = None, answer: bytes = b""
    ) -> None:
        super().__init__(provider, reason)
        self.args = (provider, reason, http_status)
        self.http_status = http_status
        self.answer = answer


class Unanswered(_Answered, Uncertain):
    """The call may have been placed. ``retry_after`` is how many seconds the provider asks us to
    wait, with status 429 or 503.
    """

    def __init__(
        self,
        provider: str,
        reason: str,
        http_status: int | None = None,
        retry_after: float | None = None,
        answer: bytes = b"",
    ) -> None:
        super().__init__(provider, reason, http_status, answer)
        self.args = (provider, reason, http_status, retry_after)
        self.retry_after = retry_after


class Refused(_Answered, Rejected):
    """The platform said KO: no call was placed."""


class RefusedCredentials(Refused, BadCredentials):
    """The platform said KO, because of the user or the password."""


class Gsmblockchain(PlacesCertifiedCalls):
    """One account's client, which keeps no connection open.

    Parameters: ``account``; ``transport``, the seam for tests, closed after a call. There are no
    tokens. The caller takes the account's turn before a call.
    """

    tries_credentials = False

    def __init__(
        self,
        account: GsmblockchainAccount,
        token_store: TokenStore | None = None,  # noqa: ARG002 - every client is made alike
        /,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        self._account = account
        self._before_call = before_call or (lambda: None)
        self._transport = transport

    def close(self) -> None:
        """Do nothing: no connection is open."""

    @property
    def provider_time(self) -> datetime | None:
        """None: no decision depends on the platform's clock."""
        return None

    def probe(self) -> str:
        """Look up the platform's name, open a connection to it and close it. Everything else needs
        a paid call (docs/providers/gsmblockchain.md, Q8). Raises Unreachable.
        """
        account = self._account
        try:
            connect(account.base_url, verify=account.verify_tls, seconds=account.timeout_seconds)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            why = str(error) or type(error).__name__
        else:
            secure = account.base_url.startswith("https:")
            how = "a TLS connection" if secure else "a connection without TLS"
            return f"{how} can be opened; {_UNTRIED}"
        raise Unreachable(NAME, f"the provider could not be reached ({why}); {_UNTRIED}")

    @staticmethod
    def error_message(answer: bytes) -> str | None:
        """Return the platform's own reason in an answer that refuses a call, or None."""
        verdict = understood(answer)
        return verdict.error_message if verdict else None

    @staticmethod
    def kept_answer(account: GsmblockchainAccount, answer: bytes) -> bytes:
        """Return the answer without the account's password, as a receipt may keep it."""
        return kept_answer(account, answer)

    @staticmethod
    def kept_field(account: GsmblockchainAccount, text: str | None) -> str | None:
        """Return a field of the answer as a receipt may keep it."""
        return kept_field(account, text)

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
        """Request one certified call, once, on a connection of its own.

        ``country`` is ISO 3166 alpha-2, ``phone`` the national number (telephone_numbers.national),
        ``max_seconds`` the longest duration of the call. ``before_bytes`` is called at most once,
        when the connection is open and nothing of the request has left; its exception is raised
        unchanged, and then nothing leaves. The account's ``timeout_seconds`` limit the whole
        operation, including the time of ``before_bytes``.

        Raises ValueError for text that cannot be sent, before ``before_bytes``; Unreachable if
        nothing left, also when ``before_bytes`` took all of the time; afterwards Refused,
        RefusedCredentials and Unanswered: only an OK or a KO with HTTP 200 is an answer. None of
        them holds the sent values, or has a cause or a context.
        """
        self._before_call()
        sent = self._query(country, phone, max_seconds, company_name, company_id)
        del country, phone, company_name, company_id
        sending = Sending(before_bytes)
        request = self._request(sent)
        seen = Observation(self._account, "certified_call")
        if request is not None:
            sending.send(request, self._account, self._transport)
        outcome = _outcome(request, sending, {name: sent[name] for name in _PRIVATE})
        del request, sent
        seen.outcome = _measured(sending, outcome) or seen.outcome
        seen.over()
        if isinstance(outcome, Placed):
            return outcome
        raise outcome

    def _query(
        self, country: str, phone: str, max_seconds: int, company_name: str, company_id: str
    ) -> dict[str, str]:
        return {
            "user": self._account.username,
            "pass": self._account.password.get_secret_value(),
            "countryID": country,
            "phone": phone,
            "time": str(max_seconds),
            "companyName": company_name,
            # The page's table has companyID, its example CompanyID: PHP distinguishes them.
            "companyID": company_id,
            "CompanyID": company_id,
        }

    def _request(self, sent: Mapping[str, str]) -> httpx.Request | None:
        """Return the request, or None if it cannot be written (a lone surrogate, an endless
        text).
        """
        try:
            query = urlencode(sent, quote_via=quote, safe="")
            return httpx.Request(
                "GET", f"{self._account.base_url}{_PATH}?{query}", headers=_HEADERS
            )
        except (UnicodeError, httpx.InvalidURL):
            return None


def _outcome(
    request: httpx.Request | None, sending: Sending, sent: Mapping[str, str]
) -> Placed | BaseException:
    """Return the call, or the exception to raise; ``sent`` are the values that no reason may
    quote.
    """
    if request is None:
        return ValueError(
            "the certified call was not placed and nothing was sent: its texts are too long or "
            "contain characters that UTF-8 cannot encode; correct company_name and company_id"
        )
    if sending.stopped_by is not None:
        return sending.stopped_by
    if sending.status is None and not sending.is_released:
        return Unreachable(
            NAME,
            "the certified call was not placed: the provider could not be reached "
            f"({sending.failure}) and nothing was sent; it can be tried again",
        )
    verdict = understood(sending.body) if sending.failure is None else None
    if verdict is None or sending.status != 200 or not sending.is_released:
        return _unanswered(sending, verdict, sent)
    if verdict.is_ok:
        return Placed(verdict.phone, sending.status, sending.body)
    return _refused(sending, verdict, sent)


def _measured(sending: Sending, outcome: Placed | BaseException) -> str | None:
    """Return the outcome under which the request is counted, or None without a meaningful
    answer.
    """
    meanings = (
        (Placed, OK),
        (RefusedCredentials, UNAUTHORIZED),
        (Refused, REFUSED),
        (Unreachable, UNREACHABLE),
    )
    for kind, meaning in meanings:
        if isinstance(outcome, kind):
            return meaning
    if not isinstance(outcome, Unanswered):
        return NOT_SENT
    decides_nothing = sending.failure is not None or sending.status in (None, 200)
    return None if decides_nothing else outcome_of(sending.status or 0)


def _refused(sending: Sending, verdict: Verdict, sent: Mapping[str, str]) -> Refused:
    quoted = _excerpt(verdict.error_message, sent)
    reason = f"the certified call was refused and not placed: {quoted or 'KO without a reason'}"
    message = unicodedata.normalize("NFC", verdict.error_message)
    if _CREDENTIALS.search(message) and _WRONG.search(message):
        reason += "; check username and password of the account"
        return RefusedCredentials(NAME, reason, sending.status, sending.body)
    return Refused(NAME, reason, sending.status, sending.body)


def _unanswered(sending: Sending, verdict: Verdict | None, sent: Mapping[str, str]) -> Unanswered:
    """Return the error of a call whose outcome is unknown.

    An understood answer is quoted. Any other answer is only described: it may repeat sent values in
    a spelling that no check here foresees.
    """
    if sending.status is None:
        what = f"no answer came ({sending.failure})"
    elif sending.failure is not None:
        what = (
            f"the answer with HTTP {sending.status} was not received completely ({sending.failure})"
        )
    else:
        seen = description(sending.headers, sending.body)
        excerpt = _excerpt(verdict.error_message, sent) if verdict else seen
        what = (
            f"HTTP {sending.status}"
            + (f" ({excerpt})" if excerpt else "")
            + " does not show whether it was placed"
        )
    if 300 <= (sending.status or 0) < 400:
        what += "; redirects are not followed: check base_url"
    return Unanswered(
        NAME,
        f"the certified call may have been placed: {what}; ask the provider before calling again",
        sending.status,
        retry_after(sending.headers) if sending.status in (429, 503) else None,
        sending.body,
    )


def _excerpt(text: str, sent: Mapping[str, str]) -> str:
    """Return one line of the text without the sent values, or withhold a text that spells out a
    secret. Sent values are removed first and whole: masking a number within a name would leave the
    rest of the name.
    """
    if holds_secret(text, [sent["pass"]]):
        return HIDDEN
    clean = without(text, [value for name, value in sent.items() if name != "pass"])
    line = "".join(letter if letter.isprintable() else " " for letter in mask_foreign(clean))
    return " ".join(line.split())[:_MOST_REASON]
