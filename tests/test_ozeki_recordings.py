"""Fetching recordings from Ozeki: from which addresses, and what counts as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
)
from providers.ozeki.addresses import recording_address
from providers.ozeki.client import Ozeki

from .ozeki_accounts import BASE, PASSWORD, RECORDING, Server, Step, account
from .vonage_accounts import TAG, raw

MP3 = b"ID3" + bytes(range(256)) * 40


def fetched(*answers: Step, url: str = RECORDING, **more: Any) -> tuple[bytes, Server]:
    """The bytes of a recording, and the server that was asked."""
    server = Server(*answers)
    with Ozeki(account(), transport=server) as ozeki, ozeki.collected(url, **more) as body:
        return b"".join(body.chunks()), server


@pytest.mark.parametrize(
    "url",
    [
        "http://pbx.local:7780/HttpRecordings/uteom.mp3",
        "http://pbx.local/a",
        "https://pbx.local/a",
        "HTTP://PBX.Local:7777/a?b=c&d=http://evil.example/",
        "http://pbx.local:65535",
        "http://pbx.local/a b.wav",
        "http://pbx.local/é.wav",
        "http://pbx.local/@evil.example/",
        "http://pbx.local/?x=@evil.example",
        "http://pbx.local/a#@evil.example",
        "http://192.0.2.7/a",
        "http://records.example:8080/a",
        "http://[2001:db8::7]/a",
        "http://[2001:0DB8:0:0::7]:81/a",
        "http://[fe80::1]/a",
    ],
)
def test_addresses_of_the_account(url: str) -> None:
    """Its own host and those it names, on any port, by either scheme, in either case."""
    hosts = ["192.0.2.7", "Records.example", "[2001:db8::7]", "fe80::1"]
    address = recording_address(url, BASE, hosts)

    assert (
        address.host.lower() in ("pbx.local", "192.0.2.7", "records.example") or ":" in address.host
    )
    assert address.userinfo == b""
    assert address.fragment == ""


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://pbx.müller.example:7780", "http://pbx.xn--mller-kva.example/a"),
        ("http://xn--mller-kva.example", "http://xn--mller-kva.example:7780/a"),
        ("https://[2001:db8:0::7]:7780/ozeki", "http://[2001:DB8::7]/a"),
        ("http://192.0.2.7:7780/ozeki", "http://192.0.2.7:7780/b"),
        ("http://pbx.local.", "http://pbx.local./a"),
    ],
)
def test_every_form_of_the_accounts_own_host(base_url: str, url: str) -> None:
    """A name in another script, an address of either kind, a name with a dot at its end."""
    assert recording_address(url, base_url, []).path in ("/a", "/b")


@pytest.mark.parametrize(
    "url",
    [
        # other hosts, and hosts that only begin or end alike
        "http://evil.example/a",
        "http://pbx.local.evil.example/a",
        "http://evil-pbx.local/a",
        "http://xpbx.local/a",
        "http://pbx.loca/a",
        "http://pbx.local./a",
        "http://pbx..local/a",
        "http://.pbx.local/a",
        # users before hosts
        "http://pbx.local@evil.example/a",
        "http://pbx.local:7780@evil.example/a",
        "http://user@pbx.local/a",
        "http://user:word@pbx.local/a",
        "http://@pbx.local/a",
        "http://evil.example@pbx.local/a",
        "http://evil.example#@pbx.local/a",
        "http://evil.example?@pbx.local/a",
        # what readers take apart differently
        "http://evil.example\\@pbx.local/a",
        "http://pbx.local\\@evil.example/a",
        "http://pbx.local\\.evil.example/a",
        "http:\\\\pbx.local/a",
        "http://pbx.local\t.evil.example/a",
        "http://pbx\n.local/a",
        "http://pbx.local\x00.evil.example/a",
        "http://pbx.local /a",
        " http://pbx.local/a",
        "http://pbx%2elocal/a",
        "http://pbx.local%00.evil.example/a",
        "http://pbx.local%2f@evil.example/a",
        "http://pbx\u3002local/a",
        "http://pb\u212f.local/a",
        "http://\uff50bx.local/a",
        "http://pbx.loc\u00adal/a",
        "http://pbx.local\u2028/a",
        "http://pbx.local,evil.example/a",
        "http://pbx.local;evil.example/a",
        # other spellings of 127.0.0.1 and 192.0.2.7, and what listens beside us
        "http://127.0.0.1/a",
        "http://localhost/a",
        "http://2130706433/a",
        "http://0x7f000001/a",
        "http://0177.0.0.1/a",
        "http://127.1/a",
        "http://0/a",
        "http://3221225991/a",
        "http://0xC0000207/a",
        "http://192.0.2.07/a",
        "http://192.0.519/a",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/a",
        "http://[::ffff:192.0.2.7]/a",
        "http://[::ffff:c000:207]/a",
        "http://[::]/a",
        "http://[2001:db8::8]/a",
        "http://[2001:db8::7%25eth0]/a",
        "http://[2001:db8::7%eth0]/a",
        "http://[2001:db8::7].evil.example/a",
        "http://[pbx.local]/a",
        "http://[2001:db8::7/a",
        "http://2001:db8::7/a",
        # ports
        "http://pbx.local:0/a",
        "http://pbx.local:65536/a",
        "http://pbx.local:99999999/a",
        "http://pbx.local:/a",
        "http://pbx.local:80:80/a",
        "http://pbx.local:-1/a",
        "http://pbx.local:8O/a",
        "http://pbx.local:\u0668\u0660/a",
        # schemes, and what is no whole address
        "ftp://pbx.local/a",
        "file:///etc/passwd",
        "file://pbx.local/etc/passwd",
        "gopher://pbx.local/a",
        "javascript://pbx.local/%0aalert(1)",
        "httpx://pbx.local/a",
        "http:pbx.local/a",
        "http:/pbx.local/a",
        "http:///pbx.local/a",
        "http://",
        "//pbx.local/a",
        "/HttpRecordings/uteom.mp3",
        "pbx.local/a",
        "C:\\HttpRecordings\\uteom.mp3",
        "",
        "http://pbx.local/" + "a" * 5000,
    ],
)
def test_every_other_address_is_refused(url: str) -> None:
    """Nothing is sent, and the refusal does not repeat the address."""
    with pytest.raises(Rejected, match="not fetched from its RecordURL") as caught:
        fetched(url=url)

    assert url == "" or url not in str(caught.value)
    with pytest.raises(Rejected):
        recording_address(url, BASE, ["192.0.2.7", "2001:db8::7"])


def test_fetches_a_recording_without_credentials() -> None:
    """The address came from outside: who is asked learns nothing of the account."""
    content, server = fetched(raw(200, MP3, ETag=TAG))
    (request,) = server.requests

    assert content == MP3
    assert request.url == httpx.URL(RECORDING)
    assert request.headers["accept-encoding"] == "identity"
    sent = f"{request.url}{request.headers}"
    assert not {"user1000", PASSWORD, "authorization"} & set(sent.split())
    assert "user1000" not in sent


def test_resumes_where_it_broke() -> None:
    """A part is asked for under the condition that the file is the same."""
    part = raw(206, MP3[100:], ETag=TAG, Content_Range=f"bytes 100-{len(MP3) - 1}/{len(MP3)}")
    content, server = fetched(part, etag=TAG, offset=100)

    assert content == MP3[100:]
    headers = server.requests[0].headers
    assert (headers["range"], headers["if-range"]) == ("bytes=100-", TAG)


@pytest.mark.parametrize(
    "first",
    [
        lambda: raw(206, MP3[100:], ETag='"new"', Content_Range="bytes 100-10242/10243"),
        lambda: raw(416, Content_Range="bytes */50"),
    ],
)
def test_another_file_begins_at_its_first_byte(first: Callable[[], httpx.Response]) -> None:
    """What is held of a file that changed is of no use."""
    content, server = fetched(first(), raw(200, MP3), etag=TAG, offset=100)

    assert content == MP3
    assert "range" not in server.requests[1].headers


def test_a_file_that_is_whole_already() -> None:
    """The part behind the last byte is none: nothing is left to fetch."""
    server = Server(raw(416, Content_Range="bytes */100", ETag=TAG))
    with (
        Ozeki(account(), transport=server) as ozeki,
        ozeki.collected(RECORDING, etag=TAG, offset=100) as body,
    ):
        assert body.complete


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda: raw(301, Location=f"{BASE}/other.mp3"), Rejected),
        (lambda: raw(302, Location="http://169.254.169.254/"), Rejected),
        (lambda: raw(307, Location="http://127.0.0.1/"), Rejected),
        (lambda: raw(400), Rejected),
        (lambda: raw(401), BadCredentials),
        (lambda: raw(403), BadCredentials),
        (lambda: raw(404), NotFound),
        (lambda: raw(408), Uncertain),
        (lambda: raw(410), Gone),
        (lambda: raw(416), Rejected),
        (lambda: raw(429), Throttled),
        (lambda: raw(500), Uncertain),
        (lambda: raw(503), Throttled),
        (lambda: raw(204), Uncertain),
        (lambda: raw(200, b"<html>log in</html>"), Uncertain),
        (lambda: raw(200, b"\n <Response><Code>601</Code></Response>"), Uncertain),
        (lambda: raw(200, MP3[:50], httpx.ReadError("cut")), Uncertain),
        (lambda: raw(200, MP3[:50], Content_Length="99"), Uncertain),
    ],
)
def test_what_is_no_file(answer: Callable[[], httpx.Response], kind: type[ProviderError]) -> None:
    """A redirect is followed nowhere; a page is not a recording, whatever its status."""
    with pytest.raises(ProviderError) as caught:
        fetched(answer())

    assert type(caught.value) is kind


@pytest.mark.parametrize("held", [0, 100])
def test_an_error_of_a_resumed_file_is_the_same(held: int) -> None:
    """Also where a part was asked for."""
    with pytest.raises(NotFound):
        fetched(raw(404), etag=TAG, offset=held)
