"""Each misbehaviour of the simulators does on the wire what its name says."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import httpx
import pytest

from . import shared_simulators
from .simulators import Simulators
from .simulators.faults import KINDS
from .visitor import PATIENCE, Visitor
from .waiting import eventually, in_time

simulators = shared_simulators.simulators

LISTING = "accounts/self/company_call_recordings"


@pytest.fixture
def visitor(simulators: Simulators) -> Iterator[Visitor]:
    """The user of an account with one recording of 200,000 bytes."""
    account = simulators.vonage.account(ready_after_polls=0)
    account.add({"start": "2026-11-19T06:00:00Z", "size_bytes": 200_000})
    with Visitor(account) as visiting:
        yield visiting


def audio_path(visitor: Visitor) -> str:
    """Where the recording's audio lies below the API's base."""
    return f"audio/recording/{visitor.account.recordings()[0]['id']}"


def body_of(received: bytes) -> bytes:
    """What came after the head of an answer."""
    return received.partition(b"\r\n\r\n")[2]


def unchunked(body: bytes) -> tuple[bytes, bool]:
    """The data of a chunked body as far as it came, and whether its end came too."""
    data = b""
    while found := re.match(rb"([0-9a-f]+)\r\n", body):
        size = int(found[1], 16)
        if size == 0:
            return data, True
        data += body[found.end() :][:size]
        body = body[found.end() + size + 2 :]
    return data, False


def test_a_hang_before_has_no_effect_yet(simulators: Simulators, visitor: Visitor) -> None:
    """A hang before the effect: no answer in time, and no export was created by then."""
    visitor.account.fault("export", "hang", seconds=60, when="before")
    with pytest.raises(httpx.ReadTimeout):
        visitor.ask("POST", f"{LISTING}/export", json={}, timeout=0.3)
    assert simulators.log.exports(visitor.account.username) == []


def test_a_hang_after_has_had_its_effect(simulators: Simulators, visitor: Visitor) -> None:
    """A hang after the effect: no answer in time, but the export is there."""
    visitor.account.fault("export", "hang", seconds=600, when="after")
    with pytest.raises(httpx.ReadTimeout):
        visitor.ask("POST", f"{LISTING}/export", json={}, timeout=1)
    eventually(lambda: len(simulators.log.exports(visitor.account.username)) == 1)
    assert simulators.log.requests("export", visitor.account.username)[0]["outcome"] == "running"


@pytest.mark.parametrize(("kind", "end"), [("reset", "reset"), ("close", "closed")])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_can_end_without_an_answer(
    simulators: Simulators, visitor: Visitor, kind: str, end: str, when: str
) -> None:
    """Reset ends with RST, close with FIN, both without a byte; the effect is as told."""
    visitor.account.fault("list", kind, when=when)
    assert visitor.raw(LISTING) == (b"", end)
    visitor.account.fault("export", kind, when=when)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        visitor.export()
    made = simulators.log.exports(visitor.account.username)
    assert len(made) == (1 if when == "after" else 0)


def test_any_status_can_be_answered(simulators: Simulators, visitor: Visitor) -> None:
    """Status, body, content type, Retry-After and headers are as asked for, and then it is
    over.
    """
    shapes = {
        "wso2-json": "fault",
        "problem": "invalid_parameters",
        "msg": "msg",
        "vis": "errorCode",
        "oauth": "error",
        "json": "status",
    }
    for body, key in shapes.items():
        visitor.account.fault("list", "answer", status=503, body=body)
        answer = visitor.page()
        assert (answer.status_code, key in answer.json()) == (503, True)
    for body, start in {
        "wso2-xml": "<ams:fault",
        "html": "<!DOCTYPE",
        "no idea": "no idea",
    }.items():
        visitor.account.fault("list", "answer", status=200, body=body, content_type="audio/mpeg")
        answer = visitor.page()
        assert (answer.status_code, answer.text[: len(start)]) == (200, start)
        assert answer.headers["content-type"] == "audio/mpeg"
    visitor.account.fault("list", "answer", status=302, headers={"Location": "/elsewhere"})
    answer = visitor.page()
    assert (answer.content, answer.headers["location"]) == (b"", "/elsewhere")
    visitor.account.fault("export", "answer", status=500, when="after")
    path = f"{LISTING}/export"
    assert visitor.ask("POST", path, json={}).status_code == 500
    assert len(simulators.log.exports(visitor.account.username)) == 1
    assert visitor.page().status_code == 200


def test_retry_after_comes_as_seconds_or_date(visitor: Visitor) -> None:
    """Both forms that HTTP allows."""
    visitor.account.fault("list", "answer", status=429, body="wso2-json", retry_after=7)
    answer = visitor.page()
    assert (answer.headers["retry-after"], answer.json()["fault"]["code"]) == ("7", 900800)
    more = {"retry_after": 60, "retry_after_as": "date"}
    visitor.account.fault("list", "answer", status=503, **more)
    until = parsedate_to_datetime(visitor.page().headers["retry-after"]).timestamp()
    assert 50 < until - time.time() < 70


def test_every_error_can_take_another_shape(visitor: Visitor) -> None:
    """A switch turns natural errors into another of the known shapes."""
    visitor.account.configure(error_body="wso2-xml")
    answer = visitor.ask("GET", f"{LISTING}/1")
    assert answer.status_code == 404
    assert answer.text.startswith("<ams:fault")


@pytest.mark.parametrize("length_told", [True, False])
@pytest.mark.parametrize("how", ["broken", "clean", "close-delimited", "reset"])
def test_a_body_can_be_cut(
    simulators: Simulators, visitor: Visitor, how: str, length_told: bool
) -> None:
    """Exactly 70,000 bytes arrive. Broken and reset leave the framing open, the other two
    look like a whole answer.
    """
    visitor.account.configure(send_length=length_told)
    path = audio_path(visitor)
    visitor.account.fault("audio", "cut", after_bytes=70_000, how=how)
    received, end = visitor.raw(path, 3 if how == "clean" else PATIENCE)
    body, complete = body_of(received), False
    if b"Transfer-Encoding: chunked" in received:
        body, complete = unchunked(body)
    assert len(body) == 70_000
    assert end == {"reset": "reset", "clean": "open"}.get(how, "closed")
    assert complete == (how == "clean" and not length_told)
    if length_told:
        told = {"clean": b"70000", "close-delimited": None}.get(how, b"200000")
        found = re.search(rb"Content-Length: (\d+)", received)
        assert (found and found[1]) == told
    assert simulators.log.requests("audio")[-1]["sent_bytes"] == 70_000
    visitor.account.fault("audio", "cut", after_bytes=70_000, how=how)
    if how in ("broken", "reset"):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            visitor.ask("GET", path)
    else:
        assert len(visitor.ask("GET", path).content) == 70_000


def test_a_body_can_freeze(visitor: Visitor) -> None:
    """After the bytes asked for nothing comes while the freeze lasts, then the rest."""
    path = audio_path(visitor)
    visitor.account.fault("audio", "freeze", after_bytes=1000, seconds=30)
    received, end = visitor.raw(path, patience=3)
    assert (len(unchunked(body_of(received))[0]), end) == (1000, "open")
    visitor.account.fault("audio", "freeze", after_bytes=1000, seconds=0.3)
    started = time.monotonic()
    assert len(visitor.ask("GET", path).content) == 200_000
    assert time.monotonic() - started >= 0.3


def test_a_body_can_be_slow(visitor: Visitor) -> None:
    """A rate in bytes per second, by fault once or by switch for every file, is kept."""
    visitor.account.fault("audio", "slow", bytes_per_second=400_000)
    started = time.monotonic()
    visitor.ask("GET", audio_path(visitor))
    assert time.monotonic() - started > 0.4
    visitor.account.configure(bytes_per_second=500_000)
    started = time.monotonic()
    assert len(visitor.archive(visitor.export()[0]).content) > 200_000
    assert time.monotonic() - started > 0.3


def test_a_rate_is_changed_under_way(simulators: Simulators, visitor: Visitor) -> None:
    """A file that comes slowly comes fast as soon as the switch says so."""
    visitor.account.configure(bytes_per_second=1000)
    job = visitor.export()[0]
    with in_time(), ThreadPoolExecutor(1) as pool:
        coming = pool.submit(visitor.archive, job)
        eventually(lambda: simulators.log.requests("retrieve", visitor.account.username))
        visitor.account.configure(bytes_per_second=None)
        assert len(coming.result().content) > 200_000


def test_bytes_can_trickle(visitor: Visitor) -> None:
    """One byte at a time, in the headers or in the body."""
    visitor.account.fault("list", "trickle", seconds_per_byte=30, part="headers")
    assert visitor.raw(LISTING, patience=3) == (b"H", "open")
    visitor.account.fault("list", "trickle", seconds_per_byte=30, part="body")
    received, _ = visitor.raw(LISTING, patience=3)
    assert body_of(received) == b"{"
    visitor.account.fault("list", "trickle", seconds_per_byte=0.0001, part="all")
    assert visitor.page().status_code == 200


def test_faults_of_a_file_wait_for_the_file(visitor: Visitor) -> None:
    """A cut asked for retrieve is not used up by polls; an answer is."""
    visitor.account.configure(ready_after_polls=1)
    visitor.account.fault("retrieve", "cut", after_bytes=10, how="clean")
    visitor.account.fault("retrieve", "answer", status=503, skip=1)
    job = visitor.export()[0]
    assert [visitor.retrieve(job).status_code for _ in range(2)] == [404, 503]
    assert len(visitor.archive(job).content) == 10
    assert len(visitor.archive(job).content) > 200_000


def test_faults_are_counted_aimed_and_cleared(simulators: Simulators, visitor: Visitor) -> None:
    """Times, skip, account and order are kept; kinds combine; clear forgets; the log tells."""
    visitor.account.fault("list", "answer", status=500, times=2, skip=1)
    visitor.account.fault("list", "answer", status=502)
    with Visitor(simulators.vonage.account()) as other:
        assert other.page().status_code == 200
    assert [visitor.page().status_code for _ in range(5)] == [502, 500, 500, 200, 200]
    visitor.account.fault("list", "answer", status=500, times=None)
    visitor.account.fault("list", "hang", seconds=0.01)
    assert visitor.page().status_code == 500
    told = simulators.log.requests("list", visitor.account.username)[-1]["faults"]
    assert set(told) == {"answer", "hang"}
    assert len(simulators.vonage.faults()) == 1
    simulators.vonage.clear_faults()
    assert visitor.page().status_code == 200


def test_login_and_refresh_can_fail_apart(visitor: Visitor) -> None:
    """The token endpoint's faults can mean both grants or one of them."""
    refresh_token = visitor.log_in()["refresh_token"]
    visitor.account.fault("refresh", "answer", status=400, body="oauth")
    visitor.log_in()
    assert visitor.refresh(refresh_token).status_code == 400
    visitor.account.fault("token", "answer", status=503, times=2)
    form = {"username": visitor.account.username, "password": visitor.account.password}
    assert visitor.grant(grant_type="password", **form).status_code == 503
    assert visitor.refresh(refresh_token).status_code == 503
    assert visitor.refresh(refresh_token).status_code == 200


def test_a_wish_that_is_not_understood_is_refused(visitor: Visitor) -> None:
    """Unknown operation, kind, parameter, choice or switch: the error says what there is."""
    with pytest.raises(ValueError, match="no operation 'lists'"):
        visitor.account.fault("lists", "cut")
    with pytest.raises(ValueError, match="there are"):
        visitor.account.fault("list", "explode")
    with pytest.raises(ValueError, match=re.escape(str(sorted(KINDS["cut"])))):
        visitor.account.fault("list", "cut", bytes=3)
    with pytest.raises(ValueError, match="how is one of"):
        visitor.account.fault("list", "cut", how="rudely")
    with pytest.raises(ValueError, match="bad_crc is for"):
        visitor.account.fault("list", "bad_crc")
    with pytest.raises(ValueError, match="no switch"):
        visitor.account.configure(colour="red")
    with pytest.raises(ValueError, match="not_ready is one of"):
        visitor.account.configure(not_ready="418")
