"""The meaning of a VoipNow server's refusals and errors (docs/providers/voipnow.md, "Errors")."""

from __future__ import annotations

from typing import Any

from providers.errors import BadCredentials, NotFound, ProviderError, Rejected, Throttled, Uncertain
from providers.http.exchange import Answer
from providers.http.headers import retry_after
from providers.http.json_answers import parsed
from providers.http.redaction import redact_reason

NAME = "voipnow"


class Refused(Rejected):
    """The server refused, with a ``code`` of its own, or None if it gave none."""

    def __init__(self, provider: str, reason: str, code: str | None = None) -> None:
        super().__init__(provider, reason)
        # As in Throttled: an exception is rebuilt from its args.
        self.args = (provider, reason, code)
        self.code = code


class FormatRefused(Refused):
    """pc_recformat_invalid: the server records neither as wav nor as wav49."""


class CallRefused(Refused, NotFound):
    """pc_phonecall_invalid: there is no such call; most often it has ended."""


class ViewRefused(Refused, NotFound):
    """pc_phonecallview_invalid: the call has no such view. A transfer or parking changes views, so
    list the calls again, once.
    """


#: The documented codes, and what to do about each.
_CODES: dict[str, tuple[type[Refused], str]] = {
    "pc_recformat_invalid": (
        FormatRefused,
        "the server does not accept this format: give format wav or wav49",
    ),
    "pc_phonecall_invalid": (
        CallRefused,
        "there is no such call: it has ended, or call_id is wrong; list the calls of this user",
    ),
    "pc_phonecallview_invalid": (
        ViewRefused,
        "the call has no such view: a transfer changes views; list the calls for its view_id",
    ),
    "user_invalid": (Refused, "the server knows no such user: check user_id"),
    "extension_invalid": (Refused, "the server knows no such extension: check extension"),
    "request_not_implemented": (
        Refused,
        "this VoipNow server does not support the request: check its version and api_path",
    ),
}


def refusal(answer: Answer, what: str) -> ProviderError:
    """Return the error of a status other than a success; ``what`` begins the reason."""
    reason, code = error_reason(answer.body)
    message = f"{what}: HTTP {answer.status}" + (f" ({reason})" if reason else "")
    status = answer.status
    if status in (429, 503):
        return Throttled(NAME, message, retry_after(answer.headers))
    if status in (401, 403):
        return BadCredentials(
            NAME,
            f"{message}; the server refuses a new token: check that the App may use the UnifiedAPI "
            "for this user",
        )
    if status in (400, 501) and code in _CODES:
        kind, advice = _CODES[code]
        return kind(NAME, f"{what}: {advice} (HTTP {status}, {code})", code)
    if status == 404:
        # A missing call is a 400 with a code, so a 404 concerns the address.
        return Refused(NAME, f"{message}; the server has no such address: check api_path", code)
    if 300 <= status < 400:
        message += "; redirects are not followed: check base_url"
    if 400 <= status < 500 and status != 408:
        return Refused(NAME, message, code)
    return Uncertain(NAME, message)


def error_reason(body: bytes) -> tuple[str, str | None]:
    """Return the reason in one line without numbers and credentials, and its code.

    The API answers {"error": {"code", "message"}}, OAuth {"error": "...", "error_description"}
    (docs/providers/voipnow.md, Q2). The reason is empty where the body gives none.
    """
    error = _error(body[:65536])
    if not isinstance(error, dict):
        return "", None
    code = error.get("code")
    code = str(code).strip().lower() if isinstance(code, str | int) else None
    texts = [error.get("code"), error.get("message")]
    reason = ": ".join(
        redact_reason(text) for text in texts if isinstance(text, str) and text.strip()
    )
    return redact_reason(reason), code or None


def _error(body: bytes) -> Any:
    try:
        content = parsed(body)
    except ValueError:
        page = b"<html" in body[:1000].lower()
        return {"message": "a page of HTML"} if page else None
    if not isinstance(content, dict):
        return None
    error = content.get("error")
    if isinstance(error, str):
        return {"code": error, "message": content.get("error_description")}
    return error
