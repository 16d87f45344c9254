"""Files of the Vonage client: when they are ready, where their bytes belong, whether all came."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from providers.bodies import PIECE, Body
from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    NotReady,
    ProviderError,
    Throttled,
    Uncertain,
)
from providers.vonage import Vonage

from .vonage_accounts import BASE, MemoryShelf, Provider, Step, account, client, raw, shown

JOB = "7a688e12-99ee-4816-8385-b21b90583838"
ZIP = b"PK\x03\x04" + bytes(range(256)) * 40
TAG = '"a-strong-tag"'


def opened(provider: Provider, **more: Any) -> tuple[Vonage, AbstractContextManager[Body]]:
    """A client and the export it retrieves."""
    vonage = Vonage(account(), MemoryShelf(), transport=provider)
    return vonage, vonage.retrieve(JOB, **more)


def retrieved(*answers: Step, **more: Any) -> bytes:
    """The bytes of an export."""
    vonage, opening = opened(Provider(*answers), **more)
    with vonage, opening as body:
        return b"".join(body.chunks())


def test_retrieves_a_zip() -> None:
    """India's parameters, with the token; what comes is told of and given byte for byte."""
    provider = Provider(
        raw(200, ZIP[:2], ZIP[2:], Content_Type="application/zip", ETag=TAG, Content_Length="10244")
    )
    vonage, opening = opened(provider)
    with vonage, opening as body:
        assert (body.offset, body.total, body.etag, body.complete) == (0, 10244, TAG, False)
        assert body.content_type == "application/zip"
        assert b"".join(body.chunks()) == ZIP

    request = provider.requests[0]
    address = f"{BASE}/api/bulkDownload/retrieve?jobId={JOB}&userName=john.doe"
    assert (request.method, str(request.url)) == ("GET", address)
    assert request.headers["authorization"] == "Bearer access-1"
    assert request.headers["accept-encoding"] == "identity"
    assert "range" not in request.headers
    assert "if-range" not in request.headers


def test_an_export_of_nothing_is_a_zip() -> None:
    """An empty archive begins with its end record."""
    assert retrieved(raw(200, b"PK\x05\x06" + bytes(18))) == b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (shown({"status": "IN_PROGRESS"}, 202), "the provider is still making it (HTTP 202)"),
        (raw(204), "the provider has nothing to send yet (HTTP 204)"),
        (
            shown({"msg": "Export job not found"}, 404),
            "login_name john.doe is not the user who created the job (HTTP 404: Export job not",
        ),
        (raw(409), "the provider is still making it (HTTP 409)"),
        (shown({"msg": "not yet"}, 400), "as far as the answer can be understood (HTTP 400: not"),
        (raw(425), "not ready, as far as the answer can be understood (HTTP 425)"),
        (raw(201, ZIP), "not ready, as far as the answer can be understood (HTTP 201)"),
        (shown({"status": "IN_PROGRESS"}), "the answer was JSON, not a ZIP"),
        (shown([]), "the answer was JSON, not a ZIP"),
        (raw(200, b"\n\n <", b"html>"), "the answer was a page of HTML or XML, not a ZIP"),
        (raw(200, b"<", b"html>", Content_Type="application/zip"), "a page of HTML"),
        (raw(200), "the answer was an empty body, not a ZIP"),
        (raw(200, b"PK"), "the answer was something else, not a ZIP"),
        (raw(200, b"ID3\x04 sound"), "the answer was something else, not a ZIP"),
    ],
)
def test_whatever_is_no_zip_is_not_ready(answer: httpx.Response, reason: str) -> None:
    """What is answered before the export is ready is documented nowhere (question 20)."""
    with pytest.raises(NotReady) as caught:
        retrieved(answer)

    assert str(caught.value).startswith(f"export {JOB}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (raw(410), Gone),
        (raw(403), BadCredentials),
        (raw(429, Retry_After="9"), Throttled),
        (raw(503), Throttled),
        (raw(500), Uncertain),
        (raw(302, Location="/login"), Uncertain),
        (raw(200, httpx.ReadError("reset")), Uncertain),
        (raw(200, b"P", httpx.ReadTimeout("slow")), Uncertain),
    ],
)
def test_not_everything_is_waited_for(answer: httpx.Response, kind: type[ProviderError]) -> None:
    """An export that is gone, refused credentials and a broken server are told apart from one that
    is not ready.
    """
    with pytest.raises(ProviderError) as caught:
        retrieved(answer)
    assert type(caught.value) is kind


def test_a_token_that_died_is_renewed_before_a_file_too() -> None:
    """The answer to the second try is streamed."""
    assert retrieved(raw(401), raw(200, ZIP)) == ZIP
    with pytest.raises(BadCredentials):
        retrieved(raw(401), raw(401))


@pytest.mark.parametrize("told", [TAG, None])
def test_resumes_where_it_broke(told: str | None) -> None:
    """A part is asked for under the condition that the file is the same, and put in its place; a
    part that repeats no validator keeps the one it was asked for with.
    """
    headers = {"Content_Range": f"bytes 100-{len(ZIP) - 1}/{len(ZIP)}"}
    if told:
        headers["ETag"] = told
    provider = Provider(raw(206, ZIP[100:], **headers))
    vonage, opening = opened(provider, etag=TAG, offset=100)
    with vonage, opening as body:
        assert (body.offset, body.total, body.etag) == (100, len(ZIP), TAG)
        assert b"".join(body.chunks()) == ZIP[100:]

    headers = dict(provider.requests[0].headers)
    assert (headers["range"], headers["if-range"]) == ("bytes=100-", TAG)


@pytest.mark.parametrize("etag", [None, "", 'W/"weak"', "unquoted"])
def test_without_a_strong_validator_it_begins_anew(etag: str | None) -> None:
    """A weak ETag does not promise the same bytes: no part is asked for."""
    provider = Provider(raw(200, ZIP))
    vonage, opening = opened(provider, etag=etag, offset=100)
    with vonage, opening as body:
        assert (body.offset, body.total) == (0, None)

    assert "range" not in provider.requests[0].headers


def test_another_file_begins_at_its_first_byte() -> None:
    """If-Range of a file that changed is answered with the whole new one."""
    vonage, opening = opened(Provider(raw(200, ZIP, ETag='"new"')), etag=TAG, offset=100)
    with vonage, opening as body:
        assert (body.offset, body.etag) == (0, '"new"')


@pytest.mark.parametrize("etag", ['W/"weak"', "unquoted", None])
def test_tells_of_strong_validators_only(etag: str | None) -> None:
    """What could not be resumed with is not handed on."""
    vonage, opening = opened(Provider(raw(200, ZIP, **({"ETag": etag} if etag else {}))))
    with vonage, opening as body:
        assert body.etag is None


def test_a_file_that_is_held_whole_is_complete() -> None:
    """416 with a size that equals the offset: nothing is left to fetch."""
    answer = raw(416, Content_Range="bytes */100")
    vonage, opening = opened(Provider(answer), etag=TAG, offset=100)
    with vonage, opening as body:
        assert (body.complete, body.offset, body.total) == (True, 100, 100)
        assert list(body.chunks()) == []


@pytest.mark.parametrize("headers", [{}, {"Content_Range": "bytes */99"}, {"Content_Range": "?"}])
def test_a_part_that_does_not_exist_begins_anew(headers: dict[str, str]) -> None:
    """Any other 416 would come again and again: the file is asked for as a whole."""
    provider = Provider(raw(416, **headers), raw(200, ZIP))
    vonage, opening = opened(provider, etag=TAG, offset=100)
    with vonage, opening as body:
        assert (body.offset, b"".join(body.chunks())) == (0, ZIP)

    assert "range" not in provider.requests[1].headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": "bytes 99-199/200"},
        {"Content_Range": "bytes 0-199/200"},
        {"Content_Range": "bytes */200"},
        {"Content_Range": "items 100-199/200"},
        {},
        {"Content_Range": "bytes 100-199/200", "ETag": '"another"'},
        {"Content_Range": "bytes 100-199/200", "ETag": 'W/"weak"'},
        {"Content_Range": "bytes 100-199/200", "Content_Encoding": "gzip"},
        {"Content_Range": "bytes 100-99/200"},
    ],
)
def test_a_part_of_something_else_is_uncertain(headers: dict[str, str]) -> None:
    """Bytes are never put where they do not belong."""
    with pytest.raises(Uncertain):
        retrieved(raw(206, ZIP[100:200], **headers), etag=TAG, offset=100)


@pytest.mark.parametrize("total", ["0", "*", "100"])
def test_a_416_without_a_range_is_uncertain(total: str) -> None:
    """It would look like a file without a byte."""
    with pytest.raises(Uncertain):
        retrieved(raw(416, Content_Range=f"bytes */{total}"))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"Content_Length": "10245"}),
        (206, {"Content_Range": "bytes 100-10243/10345"}),
        (206, {"Content_Range": "bytes 100-10244/*"}),
        (206, {"Content_Range": "bytes 100-150/10245"}),
    ],
)
def test_a_file_that_ends_too_early_is_not_whole(status: int, headers: dict[str, str]) -> None:
    """Fewer bytes than told, or a part that is not the last one: the transfer has to go on."""
    vonage, opening = opened(Provider(raw(status, ZIP, **headers)), etag=TAG, offset=100)
    with vonage, opening as body, pytest.raises(Uncertain, match="ended after 10244 of 10"):
        list(body.chunks())


@pytest.mark.parametrize(
    ("break_", "words"),
    [
        (httpx.ReadError("reset"), r"broke off \(ReadError\) after 10244 bytes"),
        (httpx.RemoteProtocolError("cut"), r"broke off \(RemoteProtocolError\)"),
        (httpx.ReadTimeout("slow"), "stood still for too long after 10244 bytes"),
    ],
)
def test_what_came_before_a_break_is_given(break_: Exception, words: str) -> None:
    """Else a connection that breaks often would never bring a file further."""
    vonage, opening = opened(Provider(raw(200, ZIP[:100], ZIP[100:], break_)))
    received: list[bytes] = []
    with vonage, opening as body, pytest.raises(Uncertain, match=words):
        received.extend(body.chunks())

    assert b"".join(received) == ZIP


def test_chunks_are_gathered_but_never_large() -> None:
    """Many small pieces become few, and none is larger than 1 MiB."""
    pieces = [ZIP, *[b"x" * 1000] * 2000, b"y" * (2 * PIECE + 5)]
    vonage, opening = opened(Provider(raw(200, *pieces)))
    with vonage, opening as body:
        sizes = [len(chunk) for chunk in body.chunks()]

    assert sum(sizes) == sum(map(len, pieces))
    assert max(sizes) <= PIECE
    assert len(sizes) < 10


def test_downloads_one_recording() -> None:
    """The audio of a recording, with the same rules for its bytes."""
    provider = Provider(raw(200, b"ID3", b"sound", Content_Type="audio/mpeg"))
    with (
        Vonage(account(), MemoryShelf(), transport=provider) as vonage,
        vonage.audio("193228") as body,
    ):
        assert (body.content_type, b"".join(body.chunks())) == ("audio/mpeg", b"ID3sound")

    assert str(provider.requests[0].url) == f"{BASE}/api/audio/recording/193228"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (shown({"msg": "no"}, 404), NotFound),
        (raw(410), Gone),
        (raw(202), Uncertain),
        (raw(204), Uncertain),
        (raw(500), Uncertain),
    ],
)
def test_audio_that_does_not_come(answer: httpx.Response, kind: type[ProviderError]) -> None:
    """A recording is there or not; it is never "not ready"."""
    with client(answer) as vonage, pytest.raises(ProviderError) as caught, vonage.audio("1"):
        pass
    assert type(caught.value) is kind


def test_a_retrieval_needs_no_login_name() -> None:
    """Without one the parameter is empty, and a 404 says so."""
    provider = Provider(raw(404))
    with (
        Vonage(account(access_token="static"), MemoryShelf(), transport=provider) as vonage,
        pytest.raises(NotReady, match=r"login_name \(none is set\) is not the user"),
        vonage.retrieve(JOB),
    ):
        pass
    assert provider.requests[0].url.query.decode() == f"jobId={JOB}&userName="
