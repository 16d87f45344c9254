"""The meaning of HTTP statuses to which a provider gives no meaning of its own."""

from __future__ import annotations

from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
)

from .exchange import Answer
from .headers import retry_after

_KINDS: dict[int, type[ProviderError]] = {
    401: BadCredentials,
    403: BadCredentials,
    404: NotFound,
    408: Uncertain,
    410: Gone,
    # The whole of an object always exists: the server did not understand the request.
    416: Uncertain,
}


def refusal(provider: str, answer: Answer, what: str, reason: str = "") -> ProviderError:
    """Return the error of a status other than a success.

    Args:
        provider: the provider's name.
        answer: the answer.
        what: the name of the request, which begins the error's reason.
        reason: the body's reason, in one line without numbers and credentials.
    """
    sentence = f"{what}: HTTP {answer.status}" + (f" ({reason})" if reason else "")
    if answer.status in (429, 503):
        return Throttled(provider, sentence, retry_after(answer.headers))
    if 300 <= answer.status < 400:
        return Uncertain(provider, f"{sentence}; redirects are not followed: check base_url")
    kind = _KINDS.get(answer.status, Rejected if 400 <= answer.status < 500 else Uncertain)
    return kind(provider, sentence)
