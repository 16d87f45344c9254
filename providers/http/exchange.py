"""One request and its answer: the meaning of network errors, and the limit of an answer's size.

Errors of httpx hold the request, and with it the password or the numbers that were sent. So httpx's
errors are never the cause or the context of ours, and no frame in the traceback of ours keeps the
request.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field

import httpx

from config.accounts import Account
from providers.errors import ProviderError, Uncertain, Unreachable

from .content_coding import Unpackable, unpacked
from .instrumentation import UNREACHABLE, Observation, outcome_of

#: The largest answer that is read as a whole, in bytes.
MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class Answer:
    """An answer's status, headers and body; ``body`` is empty while the answer is streamed."""

    response: httpx.Response = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """The HTTP headers."""
        return self.response.headers


def connected(account: Account, transport: httpx.BaseTransport) -> httpx.Client:
    """Return a client for one account over this transport, without the environment's settings and
    without redirects.
    """
    return httpx.Client(
        transport=transport,
        headers={"Accept-Encoding": "gzip, deflate"},
        timeout=account.timeout_seconds,
        trust_env=False,
        follow_redirects=False,
    )


def exchange(
    http: httpx.Client,
    request: httpx.Request,
    *,
    account: Account,
    operation: str,
    what: str,
    streamed: Collection[int] = (),
) -> Answer:
    """Send a request and read its answer, or only the head if the status is in ``streamed``; the
    caller must close a streamed answer.

    Raises Unreachable if nothing was sent, Uncertain if the answer was lost, cut off or too large.
    ``what`` begins the reason. ``operation`` is the word under which the request is measured: a
    whole answer, or a streamed one up to its head.
    """
    provider = account.provider
    seen = Observation(account, operation)
    failure: ProviderError
    try:
        response = http.send(request, stream=True)
        if response.status_code in streamed:
            answer = Answer(response, b"")
        else:
            with closing(response):
                answer = Answer(response, _whole(response, provider, what))
        seen.outcome = outcome_of(answer.status)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        seen.outcome = UNREACHABLE
        failure = Unreachable(
            provider, f"{what}: the provider could not be reached ({type(error).__name__})"
        )
    except httpx.RequestError as error:
        failure = Uncertain(
            provider, f"{what}: the answer did not arrive completely ({type(error).__name__})"
        )
    else:
        return answer
    finally:
        seen.over()
    del request
    raise failure


def _whole(response: httpx.Response, provider: str, what: str) -> bytes:
    body = bytearray()
    try:
        for piece in unpacked(response):
            body += piece
            if len(body) > MOST_BYTES:
                break
        else:
            return bytes(body)
        why = f"larger than {MOST_BYTES >> 20} MiB"
    except Unpackable as error:
        why = str(error)
    raise Uncertain(provider, f"{what}: the answer is {why}, and was not read")
