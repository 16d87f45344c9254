"""A certified call on a real wire: what leaves and when, and every way an answer does not come."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpcore
import httpx
import pytest

from providers.errors import ProviderError, Unreachable
from providers.gsmblockchain.account import GsmblockchainAccount
from providers.gsmblockchain.client import Placed, Refused, Unanswered

from .certificates import unknown
from .gsmblockchain_calls import (
    COMPANY_ID,
    COMPANY_NAME,
    OK,
    PASSWORD,
    PATIENCE,
    PHONE,
    USERNAME,
    Serve,
    account,
    after,
    answering,
    call,
    hanging,
    resetting,
    sending,
    serving,
    trickling,
)
from .waiting import in_time


class Hook:
    """Counts how often it is called."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self.calls = 0
        self._act = act

    def __call__(self) -> None:
        self.calls += 1
        self._act()


def failing(known: GsmblockchainAccount, hook: Hook) -> ProviderError:
    """The error that a call ends with, in good time."""
    with in_time(), pytest.raises(ProviderError) as caught:
        call(known, hook)
    return caught.value


def test_one_request_with_everything_in_it() -> None:
    """All parameters in UTF-8 and percent-encoded, the company's id in both spellings."""
    hook = Hook()
    with serving(answering()) as server:
        assert call(account(f"{server.url}/prefix"), hook) == Placed("912080202", 200, OK)

    (request,) = server.received
    line, *headers = request.decode("ascii").rstrip().split("\r\n")
    path, _, query = line.removeprefix("GET ").removesuffix(" HTTP/1.1").partition("?")
    assert path == "/prefix/services/sendCertifiedCallRecorder.php"
    assert [tuple(map(unquote, pair.split("="))) for pair in query.split("&")] == _asked()
    assert "+" not in query
    sent = {name.lower(): text for name, text in (one.split(": ") for one in headers)}
    assert sent["connection"] == "close"
    assert sent["accept-encoding"] == "identity"
    assert "cookie" not in sent
    assert hook.calls == 1


def _asked() -> list[tuple[str, str]]:
    return [
        ("user", USERNAME),
        ("pass", PASSWORD),
        ("countryID", "ES"),
        ("phone", PHONE),
        ("time", "120"),
        ("companyName", COMPANY_NAME),
        ("companyID", COMPANY_ID),
        ("CompanyID", COMPANY_ID),
    ]


def test_every_call_has_a_connection_of_its_own() -> None:
    """Even where the server would keep it open."""
    with serving(answering(OK, "200 OK", "Connection: keep-alive")) as server:
        for _ in range(3):
            call(account(server.url))
    assert len(server.links) == len(server.received) == 3


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password goes to the provider alone."""
    with serving(answering()) as proxy, serving(answering()) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        call(account(server.url))
    assert not proxy.links


def test_it_is_announced_between_the_connection_and_the_first_byte() -> None:
    """When before_bytes is called the server has the connection, and nothing on it."""
    with serving(answering()) as server:

        def look() -> None:
            assert server.is_met.wait(PATIENCE)
            with pytest.raises(BlockingIOError):
                server.links[0].recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            assert server.received == []

        hook = Hook(look)
        call(account(server.url), hook)
    assert hook.calls == 1
    assert len(server.received) == 1


class Cancelled(BaseException):
    """An error that is not an Exception."""


@pytest.mark.parametrize(
    "error",
    [
        KeyError("the lease is gone"),
        Cancelled(),
        OSError("disk"),
        TimeoutError(),
        httpx.ConnectError("of another client"),
        httpx.ReadTimeout("of another client"),
        # httpcore takes these for its own: the second it passes over in silence.
        httpcore.ConnectError("of another client"),
        httpcore.WriteError("of another client"),
        ssl.SSLError("x"),
        StopIteration(),
        Unreachable("redis", "x"),
    ],
    ids=repr,
)
def test_what_the_hook_raises_comes_out_and_nothing_leaves(error: BaseException) -> None:
    """The very same error, of whatever kind, with no cause and no context added to it."""

    def refuse() -> None:
        raise error

    hook = Hook(refuse)
    with serving(answering()) as server:
        with pytest.raises(type(error)) as caught:
            call(account(server.url), hook)
        assert server.is_met.wait(PATIENCE)

    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert server.received == [b""]
    assert hook.calls == 1


def test_a_refused_connection_is_unreachable() -> None:
    """Nothing was sent, so it may be tried again."""
    hook = Hook()
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # bound, but not listening
        error = failing(account(f"http://127.0.0.1:{deaf.getsockname()[1]}"), hook)
    assert type(error) is Unreachable
    assert "nothing was sent" in str(error)
    assert hook.calls == 0


def test_a_name_without_an_address_is_unreachable() -> None:
    """A name of a form that no host can have needs no server of names to fail."""
    hook = Hook()
    error = failing(account(f"http://{'h' * 64}.example"), hook)
    assert type(error) is Unreachable
    assert hook.calls == 0


def test_a_connection_that_is_not_taken_up_is_unreachable() -> None:
    """The provider's queue of connections is full: the deadline ends the wait."""
    hook = Hook()
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = failing(
            account(f"http://127.0.0.1:{full.getsockname()[1]}", timeout_seconds=0.3), hook
        )
    assert type(error) is Unreachable
    assert "ConnectTimeout" in str(error)
    assert hook.calls == 0


@pytest.mark.parametrize("serve", [hanging, sending(b"HTTP/1.1 400 No\r\n\r\n"), resetting])
def test_a_failed_handshake_is_unreachable(serve: Serve) -> None:
    """Of TLS: the password was not sent either."""
    hook = Hook()
    with serving(serve, reads=False) as server:
        url = server.url.replace("http:", "https:")
        error = failing(account(url, timeout_seconds=0.5), hook)
    assert type(error) is Unreachable
    assert hook.calls == 0


def test_a_certificate_is_verified_unless_told_otherwise(tmp_path: Path) -> None:
    """One that nobody vouches for gets no password, but where the account allows it."""
    certified, hook = unknown(tmp_path, "127.0.0.1"), Hook()
    with serving(answering(), certified=certified) as server:
        error = failing(account(server.url), hook)
        assert type(error) is Unreachable
        assert hook.calls == 0

        assert call(account(server.url, verify_tls=False), hook).platform_phone == "912080202"
    assert hook.calls == 1
    assert len(server.received) == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#: OK, compressed and compressed again.
PACKED_TWICE = gzip.compress(gzip.compress(OK))
BROKEN = {
    "reset": (resetting, None, b""),
    "closed": (sending(b""), None, b""),
    "hangs": (hanging, None, b""),
    "garbage": (sending(b"OK 912080202\r\n\r\n"), None, b""),
    "head cut": (sending(HEAD), None, b""),
    "head trickles": (after(HEAD + b"X: ", trickling), None, b""),
    "body cut": (sending(HEAD + b"\r\n" + OK), 200, OK),
    "body hangs": (after(HEAD + b"\r\n" + OK, hanging), 200, OK),
    "body trickles": (after(HEAD + b"\r\n" + OK, trickling), 200, OK),
    "body broken": (sending(CHUNKED + b"23\r\n" + OK + b"\r\nnonsense\r\n"), 200, OK),
    "last chunk missing": (sending(CHUNKED + b"23\r\n" + OK + b"\r\n"), 200, OK),
    "false gzip": (answering(OK, "200 OK", "Content-Encoding: gzip"), 200, b""),
    "packed twice": (answering(PACKED_TWICE, "200 OK", "Content-Encoding: gzip, gzip"), 200, b""),
    "too large": (answering(OK + b" " * (1 << 16)), 200, OK + b" " * ((1 << 16) - len(OK))),
}


@pytest.mark.parametrize(("serve", "status", "came"), BROKEN.values(), ids=BROKEN.keys())
def test_a_lost_answer_is_a_call_that_may_have_been_placed(
    serve: Serve, status: int | None, came: bytes
) -> None:
    """Whatever breaks after the announcement; it is asked for once, and what came is kept."""
    hook = Hook()
    with serving(serve) as server:
        error = failing(account(server.url, timeout_seconds=3), hook)

    assert type(error) is Unanswered
    assert "may have been placed" in str(error)
    assert error.http_status == status
    assert error.answer[: len(OK)] == came[: len(OK)]
    assert len(error.answer) <= 1 << 16
    assert len(server.links) == len(server.received) == hook.calls == 1


@pytest.mark.parametrize("serve", [resetting, sending(b"")])
def test_a_connection_that_ends_before_the_request_was_read(serve: Serve) -> None:
    """Where the announcement was made, no one can say what the provider has read; a reset that
    comes before it is seen as a connection that never stood.
    """
    hook = Hook()
    with serving(serve, reads=False) as server:
        error = failing(account(server.url), hook)
    assert type(error) is (Unanswered if hook.calls else Unreachable)
    assert len(server.links) == 1


def test_an_ok_without_a_length_is_an_answer() -> None:
    """It ends with the connection, and that it came whole its last brace says."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with serving(sending(head + OK)) as server:
        assert call(account(server.url)).platform_phone == "912080202"
    with serving(sending(head + OK[:-1])) as server, pytest.raises(Unanswered):
        call(account(server.url))


def test_a_ko_on_the_wire() -> None:
    """A refusal, once."""
    hook = Hook()
    body = b'{"status":"KO","errorMessage":"No credit left"}'
    with serving(answering(body)) as server:
        error = failing(account(server.url), hook)
    assert type(error) is Refused
    assert len(server.received) == hook.calls == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    """It could be a second call, or the password at another's door."""
    hook = Hook()
    with serving(answering()) as other:
        with serving(answering(OK, status, f"Location: {other.url}/")) as server:
            error = failing(account(server.url), hook)
        assert not other.links
    assert type(error) is Unanswered
    assert "check base_url" in str(error)
    assert len(server.received) == hook.calls == 1


@pytest.mark.parametrize(
    ("status", "seconds"),
    [("429 Slow", 7.0), ("503 Busy", 7.0), ("500 Oops", None), ("200 OK", None)],
)
def test_how_long_to_wait_is_told(status: str, seconds: float | None) -> None:
    """With the two statuses that ask for it."""
    with serving(answering(b"busy", status, "Retry-After: 7")) as server:
        error = failing(account(server.url), Hook())
    assert type(error) is Unanswered
    assert error.retry_after == seconds


@pytest.mark.parametrize("name", ["company_name", "company_id", "phone"])
@pytest.mark.parametrize("text", ["lone \ud83d", "x" * 70_000])
def test_what_cannot_be_written_is_not_sent(name: str, text: str) -> None:
    """The error says so before anything was connected, without quoting it."""
    written: dict[str, Any] = {name: text}
    hook = Hook()
    with (
        serving(answering()) as server,
        pytest.raises(ValueError, match="nothing was sent") as caught,
    ):
        call(account(server.url), hook, **written)
    assert caught.value.__context__ is None
    assert not server.links
    assert hook.calls == 0
