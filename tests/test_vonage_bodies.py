"""Bodies of files: where their bytes belong, how they are resumed, and whether all of them came."""

from __future__ import annotations

import httpx
import pytest

from providers.errors import NotReady, Uncertain
from providers.http.streaming import PIECE

from .vonage_accounts import TAG, ZIP, Provider, opened, raw, retrieved


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


@pytest.mark.parametrize("etag", [None, "", 'W/"weak"', "unquoted", '"é"', '"', '"a b"', '"a"b"'])
def test_without_a_strong_validator_it_begins_anew(etag: str | None) -> None:
    """A weak ETag does not promise the same bytes, and some cannot be sent back: no part is asked
    for.
    """
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


@pytest.mark.parametrize("etag", ['W/"weak"', "unquoted", None, '"open', '"a\tb"'])
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
    "place",
    [
        "bytes 99-199/200",
        "bytes 0-199/200",
        "bytes */200",
        "items 100-199/200",
        "",
        f"bytes 100-{'9' * 5000}/*",
        "bytes 100-99/200",
    ],
)
def test_another_part_than_was_asked_for_begins_anew(place: str) -> None:
    """Bytes are never put where they do not belong, and a server that does not know how to send a
    part is not asked for one for ever.
    """
    headers = {"Content_Range": place} if place else {}
    provider = Provider(raw(206, ZIP[100:200], **headers), raw(200, ZIP))
    vonage, opening = opened(provider, etag=TAG, offset=100)
    with vonage, opening as body:
        assert (body.offset, b"".join(body.chunks())) == (0, ZIP)

    assert "range" not in provider.requests[1].headers


def test_a_part_that_is_compressed_is_uncertain() -> None:
    """It is bytes of something else than was begun."""
    headers = {"Content_Range": "bytes 100-199/200", "Content_Encoding": "gzip"}
    with pytest.raises(Uncertain):
        retrieved(raw(206, ZIP[100:200], **headers), etag=TAG, offset=100)


@pytest.mark.parametrize("etag", ['"another"', 'W/"weak"'])
@pytest.mark.parametrize(
    ("status", "place"), [(206, "bytes 100-199/200"), (416, "bytes */100"), (416, "bytes */99")]
)
def test_a_part_of_another_file_begins_anew(status: int, place: str, etag: str) -> None:
    """A server that heeds no If-Range would send parts of the new file for ever: what is held of
    the old one is given up, and the new one comes from its first byte.
    """
    provider = Provider(raw(status, Content_Range=place, ETag=etag), raw(200, ZIP, ETag=etag))
    vonage, opening = opened(provider, etag=TAG, offset=100)
    with vonage, opening as body:
        assert (body.offset, b"".join(body.chunks())) == (0, ZIP)

    assert "range" not in provider.requests[1].headers


def test_a_part_that_nobody_asked_for_has_no_validator_of_ours() -> None:
    """A 206 to a request for the whole is judged by its own headers, and must be a ZIP."""
    headers = {"Content_Range": f"bytes 0-{len(ZIP) - 1}/{len(ZIP)}"}
    vonage, opening = opened(Provider(raw(206, ZIP, **headers)), etag=TAG, offset=0)
    with vonage, opening as body:
        assert (body.etag, b"".join(body.chunks())) == (None, ZIP)
    with pytest.raises(NotReady):
        retrieved(raw(206, b"<html>", Content_Range="bytes 0-5/6"))


@pytest.mark.parametrize("total", ["0", "*", "100", "9" * 5000])
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
    """Fewer bytes than told, or a part that is not the last one: the transfer has to continue."""
    vonage, opening = opened(Provider(raw(status, ZIP, **headers)), etag=TAG, offset=100)
    with vonage, opening as body, pytest.raises(Uncertain, match="ended after 10244 of 10"):
        list(body.chunks())


@pytest.mark.parametrize(
    ("break_", "words"),
    [
        (httpx.ReadError("reset"), r"broke off \(ReadError\) after 10244 bytes"),
        (httpx.RemoteProtocolError("cut"), r"broke off \(RemoteProtocolError\)"),
        (httpx.ReadTimeout("slow"), "stalled for too long after 10244 bytes"),
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
