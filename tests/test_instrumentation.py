"""Whoever measures is told of every request to a provider: what came of it, and nothing of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import httpx
import pytest

from providers.errors import ProviderError
from providers.http import instrumentation
from providers.http.instrumentation import Observed

from .gsmblockchain_calls import OK, account, call, told
from .vonage_accounts import Step, client, listed, raw, recording

LOST = httpx.ReadError("gone")


@pytest.fixture
def seen() -> Iterator[list[Observed]]:
    """What an observer is told, while another fails at everything."""
    noted: list[Observed] = []

    def broken(_: Observed) -> None:
        raise RuntimeError

    both: list[Callable[[Observed], None]] = [broken, noted.append]
    instrumentation.observers.extend(both)
    yield noted
    for one in both:
        instrumentation.observers.remove(one)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (lambda _: listed(recording()), "ok"),
        (lambda _: httpx.Response(403), "unauthorized"),
        (lambda _: httpx.Response(429), "throttled"),
        (lambda _: httpx.Response(503), "throttled"),
        (lambda _: httpx.Response(400), "refused"),
        (lambda _: httpx.Response(302), "refused"),
        (lambda _: httpx.Response(500), "error"),
        (lambda _: raw(200, b'{"_embedded"', LOST), "unanswered"),
        (LOST, "unanswered"),
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.ConnectTimeout("late"), "unreachable"),
    ],
)
def test_every_request_is_told_with_what_came_of_it(
    seen: list[Observed], answer: Step, outcome: str
) -> None:
    """The login and the request, each under its operation and the account's alias; whatever goes
    wrong with an observer, the answer is as it was.
    """
    with client(answer) as vonage, contextlib.suppress(ProviderError):
        assert vonage.recordings({}).result()["recordings"]
        assert outcome == "ok"

    assert [(one.account, one.provider, one.operation, one.outcome) for one in seen] == [
        ("india", "vonage", "login", "ok"),
        ("india", "vonage", "recording_list", outcome),
    ]
    assert all(0 <= one.seconds < 60 for one in seen)


def test_a_token_that_ended_is_told_as_such(seen: list[Observed]) -> None:
    """A 401, the renewal, and the request once more: four requests."""
    refused = httpx.Response(401)
    with client(refused, listed(recording())) as vonage:
        vonage.recordings({})

    told_of = [(one.operation, one.outcome) for one in seen]
    assert told_of == [
        ("login", "ok"),
        ("recording_list", "unauthorized"),
        ("login", "ok"),
        ("recording_list", "ok"),
    ]


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        (OK, 200, "ok"),
        (b'{"status":"KO","errormessage":"no credit"}', 200, "refused"),
        (b'{"status":"KO","errormessage":"wrong password"}', 200, "unauthorized"),
        (b"a page", 200, "unanswered"),
        (OK, 503, "throttled"),
        (OK, 500, "error"),
        (OK, 302, "refused"),
    ],
)
def test_a_certified_call_is_told_by_what_it_came_to(
    seen: list[Observed], body: bytes, status: int, outcome: str
) -> None:
    """Its status is always 200: it is the answer that says what it came to."""
    with contextlib.suppress(ProviderError):
        told(body, status=status)

    assert [(one.operation, one.outcome) for one in seen] == [("certified_call", outcome)]


def test_a_certified_call_that_never_left_is_told_as_such(seen: list[Observed]) -> None:
    """Held back at the last moment, and without a connection."""

    def held_back() -> None:
        raise TimeoutError

    def connected(request: httpx.Request) -> httpx.Response:
        request.extensions["trace"]("http11.send_request_headers.started", {})
        return httpx.Response(200, content=OK)

    with pytest.raises(TimeoutError):
        call(account(), held_back, transport=httpx.MockTransport(connected))

    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ProviderError):
        call(account(), transport=httpx.MockTransport(unreachable))

    assert [one.outcome for one in seen] == ["not_sent", "unreachable"]
