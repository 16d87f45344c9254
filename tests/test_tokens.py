"""Tokens: one for all workers, renewed by one of them at a time, and readable by nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import time_machine

from ledger.ledger import Ledger
from providers.errors import BadCredentials, ProviderError, Throttled, Unreachable
from providers.http.tokens import Tokens, TokenStore
from providers.vonage.login import login

from .vonage_accounts import (
    CLIENT_SECRET,
    PASSWORD,
    TOKEN,
    MemoryShelf,
    Provider,
    Step,
    account,
    granted,
    raw,
    shown,
)
from .waiting import LOADED_SECONDS, in_time

REFUSED = {"error": "invalid_grant", "error_description": "Persisted token not found"}


@pytest.fixture(params=["memory", "ledger"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TokenStore]:
    """A shelf that keeps the rules in memory, and the ledger's own."""
    if request.param == "memory":
        yield MemoryShelf()
        return
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    try:
        ledger.identity.prepare()
        yield ledger.accounts.token_store("india")
    finally:
        ledger.close()


def tokens(shelf: TokenStore, provider: Provider, **more: Any) -> Tokens:
    """One worker's view of the account's token."""
    http = httpx.Client(transport=provider, trust_env=False)
    known = account(**more)
    return Tokens(known, login(known), shelf, http)


def told(tokens: Tokens, failed_version: int | None = None) -> tuple[str, int]:
    """The token as plain text, and its version."""
    access = tokens.access() if failed_version is None else tokens.renew(failed_version)
    return access.token.get_secret_value(), access.version


def provider(*grants: Step) -> Provider:
    """A token endpoint that answers so; any further request fails the test."""
    return Provider(grants=list(grants))


def test_logs_in_once_for_all_workers(shelf: TokenStore) -> None:
    """The first worker logs in with what the vendor asks for; the others find its token."""
    vendor = provider(granted(1))

    assert told(tokens(shelf, vendor)) == ("access-1", 1)
    assert told(tokens(shelf, provider())) == ("access-1", 1)
    assert vendor.forms == [
        {
            "grant_type": "password",
            "username": "john.doe@vbc.prod",
            "password": PASSWORD,
            "scope": "openid",
            "client_id": "client",
            "client_secret": CLIENT_SECRET,
        }
    ]


@pytest.mark.parametrize("ahead", [-7200, 7200])
def test_a_host_s_clock_renews_nothing(tmp_path: Path, ahead: float) -> None:
    """Whoever stored a token of an hour, two hours early or late by its clock: the next host finds
    it good, since both go by the ledger's clock.
    """
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    ledger.identity.prepare()
    shelf = ledger.accounts.token_store("india")
    with time_machine.travel(time.time() + ahead, tick=True):
        assert told(tokens(shelf, provider(granted(1)))) == ("access-1", 1)
    with time_machine.travel(time.time() - ahead, tick=True):
        assert told(tokens(shelf, provider())) == ("access-1", 1)
    ledger.close()


def test_two_that_renew_at_once_ask_once(shelf: TokenStore) -> None:
    """A refresh token serves once, so one renews and the other waits for it."""
    entered, may_end = threading.Event(), threading.Event()

    def slowly(_: httpx.Request) -> httpx.Response:
        entered.set()
        assert may_end.wait(10)
        return granted(2)

    vendor = provider(granted(1), slowly)
    told(tokens(shelf, vendor))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(told, tokens(shelf, vendor), 1)
        assert entered.wait(10)
        second = threads.submit(told, tokens(shelf, vendor), 1)
        with pytest.raises(TimeoutError):
            second.result(0.5)
        may_end.set()
        assert {first.result(10), second.result(10)} == {("access-2", 2)}

    assert vendor.grant_types == ["password", "refresh_token"]
    assert vendor.forms[1]["refresh_token"] == "refresh-1"
    assert vendor.forms[1].keys() == {
        "grant_type",
        "refresh_token",
        "client_id",
        "client_secret",
    }


def test_many_that_meet_a_dead_token_renew_it_once(shelf: TokenStore) -> None:
    """Whoever finds that another has renewed takes that token."""
    vendor = provider(granted(1), granted(2))
    told(tokens(shelf, vendor))
    barrier = threading.Barrier(8)

    def renewed(_: int) -> tuple[str, int]:
        own = tokens(shelf, vendor)
        barrier.wait(10)
        return told(own, 1)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(renewed, range(8))) == {("access-2", 2)}
    assert vendor.grant_types == ["password", "refresh_token"]


def test_a_renewal_by_another_is_found_without_asking(shelf: TokenStore) -> None:
    """A renewal kills the older token: who still held that one reads again, and renews nothing."""
    vendor = provider(granted(1), granted(2))
    told(tokens(shelf, vendor))
    told(tokens(shelf, vendor), 1)

    assert told(tokens(shelf, provider()), 1) == ("access-2", 2)


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: shown(REFUSED, 400),
        lambda: shown(REFUSED, 401),
        lambda: raw(403),
        lambda: raw(500),
        lambda: raw(200, b"<html>"),
        lambda: httpx.ReadTimeout("lost"),
    ],
)
def test_a_refresh_that_fails_is_followed_by_one_login(
    shelf: TokenStore, refusal: Callable[[], Step]
) -> None:
    """A renewal may be refused, or its answer lost (docs/providers/vonage.md, Q9)."""
    vendor = provider(granted(1), refusal(), granted(2))
    told(tokens(shelf, vendor))

    assert told(tokens(shelf, vendor), 1) == ("access-2", 2)
    assert vendor.grant_types == ["password", "refresh_token", "password"]


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: shown(REFUSED, 400),
        lambda: shown({"error": "invalid_client"}, 401),
        lambda: raw(403, b"<html>"),
    ],
)
def test_only_a_refused_login_is_bad_credentials(
    shelf: TokenStore, refusal: Callable[[], Step]
) -> None:
    """The account's credentials are wrong; one login is tried, then the right to renew is free."""
    vendor = provider(granted(1), shown(REFUSED, 400), refusal(), shown(REFUSED, 400), granted(3))
    told(tokens(shelf, vendor))
    with pytest.raises(BadCredentials, match="check username, password, client_id") as caught:
        told(tokens(shelf, vendor), 1)
    assert "invalid_" in str(caught.value) or "HTML" in str(caught.value)
    assert vendor.grant_types == ["password", "refresh_token", "password"]

    assert told(tokens(shelf, vendor), 1) == ("access-3", 2)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda: httpx.ConnectError("refused"), Unreachable),
        (lambda: httpx.ReadTimeout("slow"), Unreachable),
        (lambda: raw(500), Unreachable),
        (lambda: raw(404), Unreachable),
        (lambda: raw(302, Location="/"), Unreachable),
        (lambda: raw(200, b"[]"), Unreachable),
        (lambda: granted(access_token=""), Unreachable),
        (lambda: granted(access_token=7), Unreachable),
        (lambda: granted(access_token="é"), Unreachable),
        (lambda: granted(access_token="a\r\nX: y"), Unreachable),
        (lambda: raw(429, Retry_After="7"), Throttled),
        (lambda: raw(503), Throttled),
    ],
)
def test_without_a_token_nothing_was_sent(
    shelf: TokenStore, answer: Callable[[], Step], kind: type[ProviderError]
) -> None:
    """However a login fails, the operation was not done, and its errors never say "unknown" or
    "not found".
    """
    vendor = provider(answer(), granted(1))
    with pytest.raises(ProviderError) as caught:
        told(tokens(shelf, vendor))
    assert type(caught.value) is kind

    assert told(tokens(shelf, vendor)) == ("access-1", 1)


def test_a_wait_that_the_token_endpoint_asks_for_is_told(shelf: TokenStore) -> None:
    """Retry-After as a date counts too."""
    date, later = "Fri, 20 Nov 2026 03:04:05 GMT", "Fri, 20 Nov 2026 03:04:15 GMT"
    with pytest.raises(Throttled) as caught:
        told(tokens(shelf, provider(raw(429, Date=date, Retry_After=later))))
    assert caught.value.retry_after == 10


def test_a_changed_secret_means_a_login(shelf: TokenStore) -> None:
    """What was sealed under the old credentials does not open: as if nothing were stored."""
    told(tokens(shelf, provider(granted(1))))
    vendor = provider(granted(2))

    assert told(tokens(shelf, vendor, password="another")) == ("access-2", 2)
    assert vendor.grant_types == ["password"]
    assert told(tokens(shelf, provider(), password="another")) == ("access-2", 2)


def test_a_stored_token_is_sealed(shelf: TokenStore) -> None:
    """Neither token can be read on the shelf, nor in what a debugger shows."""
    access = tokens(shelf, provider(granted(1))).access()
    sealed = shelf.read()

    assert sealed is not None
    assert b"access-1" not in sealed.ciphertext
    assert b"refresh-1" not in sealed.ciphertext
    assert "access-1" not in repr(access)


@pytest.mark.parametrize("ciphertext", [b"", b"no token", b"gAAAAA" + b"x" * 100])
def test_a_damaged_token_means_a_login(shelf: TokenStore, ciphertext: bytes) -> None:
    """What does not open is as good as nothing."""
    claim = shelf.claim(0, 10)
    assert claim is not None
    assert shelf.put(claim, ciphertext)

    assert told(tokens(shelf, provider(granted(2)))) == ("access-2", 2)


@pytest.mark.parametrize(
    ("life", "is_renewed"),
    [
        (86400, False),
        (82566, False),
        (301, False),
        ("86400", False),
        (86400.5, False),
        (299.5, False),
        (0, True),
        ("0", True),
        (None, False),
        ("", False),
        ("soon", False),
        (True, False),
        ([3600], False),
        ({"seconds": 3600}, False),
        ("1_0", False),
        ("-5", False),
        ("٣٦٠٠", False),
        (-1, False),
        (1e99, False),
        pytest.param(10**400, False, id="endless"),
    ],
)
def test_the_life_that_is_told_counts(shelf: TokenStore, life: object, is_renewed: bool) -> None:
    """A token is renewed before its end, whatever rest of its life a login gave."""
    vendor = provider(granted(1, expires_in=life), granted(2))
    told(tokens(shelf, vendor))

    assert told(tokens(shelf, vendor)) == (("access-2", 2) if is_renewed else ("access-1", 1))


def test_a_token_is_renewed_before_it_ends(shelf: TokenStore) -> None:
    """A tenth of a short life is left for it, so that no call meets a token that just ended."""
    vendor = provider(granted(1, expires_in=2), granted(2))
    began = time.time()
    told(tokens(shelf, vendor))
    while told(tokens(shelf, vendor)) == ("access-1", 1):
        assert time.time() - began < LOADED_SECONDS
        time.sleep(0.02)

    assert time.time() - began >= 1.7
    assert vendor.grant_types == ["password", "refresh_token"]


def test_a_token_without_a_refresh_token_is_renewed_by_login(shelf: TokenStore) -> None:
    """Not every answer holds one."""
    vendor = provider(granted(1, refresh_token=None), granted(2))
    told(tokens(shelf, vendor))

    assert told(tokens(shelf, vendor), 1) == ("access-2", 2)
    assert vendor.grant_types == ["password", "password"]


def test_a_refresh_token_that_can_not_be_sent_is_not_kept(shelf: TokenStore) -> None:
    """Half of a character, which JSON can spell, is in no form: the next renewal is a login."""
    vendor = provider(granted(1, expires_in=0, refresh_token="\ud800"), granted(2))
    told(tokens(shelf, vendor))

    assert told(tokens(shelf, vendor)) == ("access-2", 2)
    assert vendor.grant_types == ["password", "password"]


def test_the_right_of_one_who_died_passes_on(shelf: TokenStore) -> None:
    """The claim of a holder that never ends runs out, and who waits renews in its place."""
    told(tokens(shelf, provider(granted(1))))
    assert shelf.claim(1, 0.5) is not None

    assert told(tokens(shelf, provider(granted(2)), timeout_seconds=10), 1) == ("access-2", 2)


def test_nobody_waits_longer_than_a_call_may_take(shelf: TokenStore) -> None:
    """Past the account's timeout the wait ends: nothing was sent."""
    assert shelf.claim(0, 60) is not None
    with in_time(), pytest.raises(Unreachable, match="another worker is still renewing the token"):
        told(tokens(shelf, provider(), timeout_seconds=0.5))


def test_who_was_overtaken_takes_the_others_token(shelf: TokenStore) -> None:
    """A holder that slept through its claim does not store its token over a newer one."""
    late = tokens(shelf, provider(granted(9)), timeout_seconds=10)

    def overtaken(_: httpx.Request) -> httpx.Response:
        # The claim of half the timeout runs out while this answer is on its way.
        other = provider(granted(2))
        assert told(tokens(shelf, other, timeout_seconds=10)) == ("access-2", 1)
        return granted(1)

    slow = tokens(shelf, provider(overtaken), timeout_seconds=6)
    assert told(slow) == ("access-2", 1)
    assert told(late) == ("access-2", 1)


def test_a_token_of_the_portal_is_never_renewed() -> None:
    """`access_token` in accounts.toml needs no login; refused, it is the credentials."""
    shelf = MemoryShelf()
    static = tokens(shelf, provider(), access_token="portal")

    assert told(static) == ("portal", 0)
    with pytest.raises(BadCredentials, match="refuses the account's access_token"):
        told(static, 0)
    assert shelf.kept is None


def test_the_token_endpoint_is_the_accounts() -> None:
    """The request goes to token_url, form-encoded."""
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return granted(1)

    told(tokens(MemoryShelf(), provider(note)))
    assert (seen[0].method, str(seen[0].url)) == ("POST", TOKEN)
    assert seen[0].headers["content-type"] == "application/x-www-form-urlencoded"
