"""How answers travel: content codings, framing, and what a request for a part is answered with."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from providers.errors import Rejected, Uncertain
from providers.vonage.client import Vonage

from . import shared_simulators
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import TAG, ZIP, MemoryShelf, client, raw, retrieved
from .vonage_simulated import WINDOW, connect, ids, saved, seeded

simulators = shared_simulators.simulators

LIST = b'{"page": 1, "total_items": 0}'
GZIP = gzip.compress(LIST, mtime=0)
BARE = zlib.compressobj(wbits=-15)
DEFLATE = BARE.compress(LIST) + BARE.flush()


@pytest.fixture
def door(simulators: Simulators) -> AccountDoor:
    """An account with seven recordings, whose exports are ready at once."""
    return seeded(simulators)


@pytest.fixture
def vonage(door: AccountDoor) -> Iterator[Vonage]:
    """The account's client."""
    with connect(door, MemoryShelf()) as client:
        yield client


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("", LIST),
        (" ", LIST),
        ("identity", LIST),
        ("Identity", LIST),
        (", identity,", LIST),
        ("None", LIST),
        ("UTF-8", LIST),
        ("aws-chunked", LIST),
        ("aws-chunked,GZip", GZIP),
        ("gzip", GZIP),
        ("GZIP", GZIP),
        ("x-gzip", GZIP),
        ("gzip, identity", GZIP),
        ("gzip", GZIP + b"\0" * 100),
        ("gzip", gzip.compress(LIST[:9], mtime=0) + gzip.compress(LIST[9:], mtime=0)),
        ("deflate", zlib.compress(LIST)),
        ("Deflate", DEFLATE),
    ],
)
def test_an_answer_is_unpacked(coding: str, body: bytes) -> None:
    """By the names of codings in any case, an empty one included; in pieces of any size."""
    for size in (1, 7, 1000):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        with client(raw(200, *pieces, Content_Encoding=coding)) as vonage:
            assert vonage.recordings({}).result()["total_items"] == 0


@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        ("br", LIST, "'br', which is unknown"),
        ("zstd", LIST, "'zstd', which is unknown"),
        ("gzip, gzip", GZIP, "more than once"),
        ("deflate, GZIP", GZIP, "more than once"),
        ("gzip", GZIP[:-9], "ends too early"),
        ("gzip", GZIP[:-1], "ends too early"),
        ("gzip", GZIP[:12], "ends too early"),
        ("gzip", LIST, "does not unpack"),
        ("gzip", GZIP + b"behind", "does not unpack"),
        ("deflate", b"\x00\x01", "ends too early|does not unpack"),
        ("gzip", gzip.compress(bytes(17 << 20), mtime=0), "larger than 16 MiB"),
    ],
)
def test_an_answer_that_does_not_unpack_whole_is_refused(
    coding: str, body: bytes, why: str
) -> None:
    """In words, and never read in part: an empty beginning would pass for a deletion."""
    for act in (lambda v: v.recordings({}), lambda v: v.delete("1")):
        with (
            client(raw(200, body, Content_Encoding=coding)) as vonage,
            pytest.raises(Uncertain, match=f"the answer is .*({why})"),
        ):
            act(vonage)


@pytest.mark.parametrize(
    "coding", ["", " ", "identity", "IDENTITY", "none", "binary", "utf-8", "aws-chunked", "8bit"]
)
def test_a_file_as_it_is(door: AccountDoor, vonage: Vonage, coding: str) -> None:
    """Object stores and web servers send a Content-Encoding that is empty or names no coding."""
    door.configure(content_encoding=coding)
    (job,) = vonage.export(WINDOW)
    assert saved(vonage, job).startswith(b"PK")
    with vonage.audio(ids(door)[0]) as body:
        assert len(b"".join(body.chunks())) == 5000


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "x-gzip", "aws-chunked, zstd"])
def test_a_file_that_comes_packed_is_refused(coding: str) -> None:
    """What is stored are the bytes themselves."""
    with pytest.raises(Uncertain, match=r"came as .*Content-Encoding"):
        retrieved(raw(200, ZIP, Content_Encoding=coding))


@pytest.mark.parametrize("length", [0, 5, 10**9])
def test_chunks_tell_their_own_end(door: AccountDoor, vonage: Vonage, length: int) -> None:
    """A length beside them is not believed (RFC 9112, 6.3)."""
    door.configure(send_length=False, stray_length=length)
    (job,) = vonage.export(WINDOW)
    assert saved(vonage, job).startswith(b"PK")
    with vonage.audio(ids(door)[0]) as body:
        assert (body.total, len(b"".join(body.chunks()))) == (None, 5000)


def test_a_length_that_is_not_reached_is_a_cut() -> None:
    """Without chunks it is all that tells the end."""
    with pytest.raises(Uncertain, match="ended after"):
        retrieved(raw(200, ZIP, Content_Length=str(len(ZIP) + 1)))


@pytest.mark.parametrize("status", [204, 304, 400, 405, 412, 413, 418, 500, 501, 502])
@pytest.mark.parametrize("operation", ["retrieve", "audio"])
def test_a_part_that_is_answered_oddly_is_followed_by_the_whole(
    simulators: Simulators, door: AccountDoor, vonage: Vonage, operation: str, status: int
) -> None:
    """What is held is not resumed for ever: a plain request comes next, and is taken."""
    (job,) = vonage.export(WINDOW)
    whole = saved(vonage, job)
    name = ids(door)[0]
    door.configure(part_status=status)
    opening = vonage.retrieve if operation == "retrieve" else vonage.audio
    with opening(job if operation == "retrieve" else name, etag=TAG, offset=3000) as body:
        assert body.offset == 0
        taken = b"".join(body.chunks())
    assert taken == whole if operation == "retrieve" else len(taken) == 5000
    asked = [one["range"] for one in simulators.log.requests(operation, door.username)]
    assert asked[-2:] == ["bytes=3000-", None]


@pytest.mark.parametrize("status", [404, 410, 429, 503])
def test_what_the_whole_would_be_answered_with_too_is_not_asked_for(
    simulators: Simulators, door: AccountDoor, vonage: Vonage, status: int
) -> None:
    """Gone, not there, told to wait: one request."""
    name = ids(door)[0]
    door.configure(part_status=status)
    with pytest.raises(Exception, match=f"HTTP {status}"), vonage.audio(name, etag=TAG, offset=9):
        pass
    assert len(simulators.log.requests("audio", door.username)) == 1


def test_a_whole_that_is_answered_oddly_is_an_error() -> None:
    """Nothing follows it."""
    for status, kind in ((304, Uncertain), (412, Rejected)):
        with (
            client(raw(status)) as vonage,
            pytest.raises(kind),
            vonage.audio("1"),
        ):
            pass
