"""The session that every provider's requests go through, whatever the provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
import time_machine

from config.accounts import Account
from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
)
from providers.http import statuses
from providers.http.exchange import Answer
from providers.http.oauth import Login
from providers.http.session import Session
from providers.http.tokens import PrivateTokenStore

from .vonage_accounts import raw

ACCOUNT = Account(alias="attic", provider="attic", base_url="https://attic.example/v1")


def refusal(answer: Answer, what: str) -> ProviderError:
    """What HTTP itself makes of a status."""
    return statuses.refusal("attic", answer, what, "their words")


class Server(httpx.BaseTransport):
    """Answers with what a test laid out; tokens, numbered, at /token."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self.tokens = 0
        self._answers = iter(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"t{self.tokens}", "expires_in": 99})
        self.requests.append(request)
        return next(self._answers)


LOGIN = Login(
    address="https://attic.example/token",
    grant={"grant_type": "client_credentials"},
    client={"client_id": "c", "client_secret": "s"},
    secrets=("s",),
    refreshes=False,
    advice="check them",
    refusal=refusal,
    reason=lambda _: ("", None),
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Uncertain),
        (400, Rejected),
        (401, BadCredentials),
        (403, BadCredentials),
        (404, NotFound),
        (408, Uncertain),
        (410, Gone),
        (416, Uncertain),
        (422, Rejected),
        (429, Throttled),
        (500, Uncertain),
        (503, Throttled),
        (504, Uncertain),
    ],
)
def test_a_status_has_one_meaning(status: int, kind: type[ProviderError]) -> None:
    """The same for a provider that says nothing of its own, with what was asked and its words."""
    answer = httpx.Response(status, headers={"Retry-After": "7"})
    session = Session(ACCOUNT, refusal, transport=Server(answer))
    with pytest.raises(ProviderError) as refused:
        session.answer("list", "GET", "/list", "the list")

    assert type(refused.value) is kind
    assert str(refused.value).startswith(f"the list: HTTP {status} (their words)")
    if isinstance(refused.value, Throttled):
        assert refused.value.retry_after == 7


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_is_given_whole(status: int) -> None:
    """With the provider's own time, below the account's address; no compression is asked for."""
    told = {"Date": "Mon, 02 Mar 2026 03:04:05 GMT"}
    server = Server(httpx.Response(status, content=b"x", headers=told))
    session = Session(ACCOUNT, refusal, transport=server)
    answer = session.answer("list", "GET", "/list", "the list", params={"page": 2})

    assert (answer.status, answer.body) == (status, b"x")
    assert str(server.requests[0].url) == "https://attic.example/v1/list?page=2"
    assert server.requests[0].headers["Accept-Encoding"] == "identity"
    assert session.provider_time is not None
    assert session.provider_time.isoformat() == "2026-03-02T03:04:05+00:00"


def test_a_token_that_ended_is_renewed_once() -> None:
    """Each request is announced, the renewal is not; a second 401 is the answer."""
    announced: list[int] = []
    server = Server(*(httpx.Response(status) for status in (401, 200, 401, 401)))
    session = Session(
        ACCOUNT,
        refusal,
        transport=server,
        before_call=lambda: announced.append(len(server.requests)),
        login=LOGIN,
        token_store=PrivateTokenStore(),
    )

    assert session.answer("list", "GET", "/list", "the list").status == 200
    with pytest.raises(BadCredentials):
        session.answer("list", "GET", "/list", "the list")

    assert announced == [0, 1, 2, 3]
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3"]


def test_a_private_token_is_renewed_before_it_ends() -> None:
    """Another store's clock is none of its business: its own tells when the end comes near."""
    server, store = Server(httpx.Response(200), httpx.Response(200)), PrivateTokenStore()
    session = Session(ACCOUNT, refusal, transport=server, login=LOGIN, token_store=store)
    with time_machine.travel(datetime(2026, 3, 2, tzinfo=UTC), tick=False) as clock:
        session.answer("list", "GET", "/list", "the list")
        clock.shift(timedelta(seconds=95))
        session.answer("list", "GET", "/list", "the list")

    assert server.tokens == 2


def test_a_login_needs_a_place_for_its_token() -> None:
    """A client that logged in again for each task would end the tokens of all workers."""
    with pytest.raises(TypeError, match="the client of a attic account needs a token store"):
        Session(ACCOUNT, refusal, login=LOGIN)


@pytest.mark.parametrize("answers", [[206], [200], [412, 200], [500, 200]])
def test_a_file_goes_on_or_begins_anew(answers: list[int]) -> None:
    """A part is asked for with its validator; where none comes, the whole is."""
    whole, tag = b"0123456789", '"tag"'
    bodies = {
        200: lambda: raw(200, whole, ETag=tag),
        206: lambda: raw(206, whole[4:], ETag=tag, Content_Range="bytes 4-9/10"),
    }
    server = Server(*(bodies.get(one, lambda one=one: httpx.Response(one))() for one in answers))
    session = Session(ACCOUNT, refusal, transport=server)
    with session.file("audio", "/audio", "the audio", etag=tag, offset=4) as body:
        held = whole[: body.offset] + b"".join(body.chunks())

    assert held == whole
    asked = [request.headers.get("Range") for request in server.requests]
    assert asked == ["bytes=4-", None][: len(answers)]


def test_an_address_with_a_secret_is_seen_by_the_server_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the log of httpx nor an error holds the address."""
    caplog.set_level("DEBUG")
    server = Server(httpx.Response(200), httpx.Response(500))
    session = Session(ACCOUNT, refusal, transport=server, hides_addresses=True)
    session.answer("list", "GET", "/list?key=canary", "the list")
    with pytest.raises(Uncertain) as refused:
        session.answer("list", "GET", "/list?key=canary", "the list")

    assert [request.url.query for request in server.requests] == [b"key=canary"] * 2
    assert "canary" not in caplog.text + str(refused.value) + repr(refused.value.args)
