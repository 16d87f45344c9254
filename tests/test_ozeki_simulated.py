"""Ozeki's client and documents with a simulated server: over real HTTP, and when it misbehaves."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from config import masking
from providers.errors import (
    BadCredentials,
    NotFound,
    ProviderError,
    Rejected,
    Uncertain,
    Unreachable,
)
from providers.ozeki import ozml
from providers.ozeki.client import Body, NoSuchCall, Ozeki
from providers.ozeki.notifications import Notification, answerable

from . import edges, shared_simulators
from .edges import Edge
from .overheard import listen
from .ozeki_simulated import Receiver, connect, heard
from .simulators import Simulators
from .simulators.ozeki_door import PbxDoor
from .waiting import in_time

simulators = shared_simulators.simulators
edge = edges.edge

ACTS: dict[str, Callable[[Ozeki, str], object]] = {
    "record": lambda ozeki, call: ozeki.record(call),
    "list": lambda ozeki, _: ozeki.calls(),
}
EACH = pytest.mark.parametrize("operation", list(ACTS))


@pytest.fixture
def pbx(simulators: Simulators) -> PbxDoor:
    """A server."""
    return simulators.ozeki.account()


@pytest.fixture
def ozeki(edge: Edge, pbx: PbxDoor) -> Iterator[Ozeki]:
    """Its client, at either edge."""
    with edge.client(pbx) as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An application that is told of calls."""
    with Receiver() as listening:
        yield listening


def finished(pbx: PbxDoor, ozeki: Ozeki, receiver: Receiver, **more: Any) -> str:
    """The RecordURL of a recording that was made."""
    call = pbx.call()
    ozeki.record(call, finished_url=receiver.url, **more)
    pbx.end(call)
    return receiver.received[-1][1].record_url or ""


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_a_call_is_recorded_and_its_file_fetched(
    pbx: PbxDoor, ozeki: Ozeki, receiver: Receiver, form: Any
) -> None:
    """From the list of calls to the bytes that the server has."""
    call = pbx.call()
    (listed,) = ozeki.calls()
    assert listed.call_id == call
    ozeki.record(call, form, f"{receiver.url}?a=1&b=2")
    pbx.end(call)
    ((path, told),) = receiver.received
    assert path == "/hooks/office/token?a=1&b=2"
    (made,) = pbx.recordings()
    assert hashlib.sha256(heard(ozeki, told.record_url or "")).hexdigest() == made["sha256"]
    assert (made["format"], ozeki.calls()) == (form, [])


def test_every_call_is_listed(pbx: PbxDoor, ozeki: Ozeki) -> None:
    """With its state, its parties and its beginning; names of any kind."""
    pbx.call("Ringing", source="600 <1>", destination="*9&", caller="Zoë", call_id="20GPS3")
    pbx.call(started_at="2026-11-20T03:04:05+01:00", call_id="AOZXH")
    for namespaces in ("xsd_first", "xsi_first", "absent"):
        pbx.configure(namespaces=namespaces)
        one, other = ozeki.calls()
        assert (one.state, one.source, one.destination, one.caller) == (
            "Ringing",
            "600 <1>",
            "*9&",
            "Zoë",
        )
        assert other.started_at == "2026-11-20T02:04:05Z"
    for call in ("20GPS3", "AOZXH"):
        pbx.end(call)
    for emptiness in ("empty", "absent"):
        pbx.configure(empty_list=emptiness)
        assert ozeki.calls() == []


def test_refusals_of_the_server(pbx: PbxDoor, ozeki: Ozeki) -> None:
    """A wrong password, a login that is missing, a user and an address that are not admitted, and
    a call that is no more.
    """
    call = pbx.call()
    with connect(pbx, password="old") as other, pytest.raises(BadCredentials, match="305"):
        other.record(call)
    with (
        connect(pbx, username=None, password=None) as other,
        pytest.raises(BadCredentials, match="304"),
    ):
        other.calls()
    pbx.configure(user_allowed=False)
    with pytest.raises(BadCredentials, match="306"):
        ozeki.record(call)
    pbx.configure(user_allowed=True, address_allowed=False)
    with pytest.raises(Rejected, match="307"):
        ozeki.record(call)
    pbx.configure(address_allowed=True)
    pbx.end(call)
    with pytest.raises(NoSuchCall):
        ozeki.record(call)
    assert pbx.recordings() == []


@EACH
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("trickle", {"seconds_per_byte": 0.1, "part": "headers"}),
        ("trickle", {"seconds_per_byte": 0.05, "part": "body"}),
    ],
)
def test_a_call_that_hangs_ends_in_its_time(
    pbx: PbxDoor, operation: str, kind: str, more: dict[str, Any]
) -> None:
    """Also where bytes still trickle."""
    call = pbx.call()
    pbx.fault(operation, kind, **more)
    with in_time(), connect(pbx, timeout_seconds=2) as ozeki, pytest.raises(Uncertain):
        ACTS[operation](ozeki, call)


@EACH
@pytest.mark.parametrize(
    "fault",
    [
        {"body": "html", "status": 502},
        {"body": "200", "status": 503, "retry_after": 7},
        {"body": "999"},
        {"body": "empty", "status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
    ],
)
def test_an_answer_of_another_kind_is_uncertain(
    pbx: PbxDoor, ozeki: Ozeki, operation: str, fault: dict[str, Any]
) -> None:
    """No page, no emptiness and no redirect is a success, nor a refusal."""
    call = pbx.call()
    pbx.fault(operation, "answer", **fault)
    with pytest.raises(Uncertain):
        ACTS[operation](ozeki, call)


@EACH
@pytest.mark.parametrize("how", ["broken", "clean", "close-delimited", "reset"])
def test_an_answer_that_is_cut_is_uncertain(
    pbx: PbxDoor, ozeki: Ozeki, operation: str, how: str
) -> None:
    """However the cut looks."""
    call = pbx.call()
    pbx.fault(operation, "cut", after_bytes=150, how=how)
    with pytest.raises(Uncertain):
        ACTS[operation](ozeki, call)


def test_a_server_that_is_away() -> None:
    """Nothing was sent."""
    door = cast("PbxDoor", _Nowhere())
    with connect(door) as ozeki, pytest.raises(Unreachable):
        ozeki.record("uteom")


class _Nowhere:
    def configuration(self) -> dict[str, Any]:
        return {"provider": "ozeki", "base_url": "http://127.0.0.1:1"}


def receive(body: Body, held: bytearray) -> None:
    """What comes is held, whatever follows."""
    for chunk in body.chunks():
        held += chunk


@pytest.mark.parametrize("how", ["broken", "clean", "reset"])
def test_a_broken_transfer_goes_on(
    pbx: PbxDoor, ozeki: Ozeki, receiver: Receiver, how: str
) -> None:
    """From where it broke, under the validator that was told; the whole is what the server has."""
    pbx.configure(recording_bytes=400_000)
    url = finished(pbx, ozeki, receiver)
    pbx.fault("recording", "cut", after_bytes=250_000, how=how)
    held = bytearray()
    with ozeki.collected(url) as body:
        etag = body.etag
        with contextlib.nullcontext() if how == "clean" else pytest.raises(Uncertain):
            receive(body, held)
    assert len(held) == 250_000
    whole = heard(ozeki, url, bytes(held), etag)
    assert hashlib.sha256(whole).hexdigest() == pbx.recordings()[0]["sha256"]


def test_files_that_are_not_there(pbx: PbxDoor, ozeki: Ozeki, receiver: Receiver) -> None:
    """A file that is not (or no more) served, a page in its place, and a redirect elsewhere."""
    url = finished(pbx, ozeki, receiver)
    with pytest.raises(NotFound):
        heard(ozeki, url + "x")
    pbx.fault("recording", "answer", body="601")
    with pytest.raises(Uncertain):
        heard(ozeki, url)
    pbx.fault("recording", "answer", status=302, headers={"Location": f"{pbx.base_url}/"})
    with pytest.raises(Rejected):
        heard(ozeki, url)


def test_a_recording_on_another_host_is_not_fetched(
    simulators: Simulators, pbx: PbxDoor, ozeki: Ozeki, receiver: Receiver
) -> None:
    """Nothing is sent there, unless the account names the host."""
    pbx.fault("RecordCompleted", "foreign_host", host=f"localhost:{simulators.url.split(':')[-1]}")
    url = finished(pbx, ozeki, receiver)
    with pytest.raises(Rejected, match="not that of the account"):
        heard(ozeki, url)
    assert simulators.log.requests("recording", pbx.name) == []
    with connect(pbx, recording_hosts=["localhost"]) as other:
        assert len(heard(other, url)) == pbx.recordings()[0]["bytes"]


@pytest.mark.parametrize("control", ["ozml_third_party", "ozml_extension"])
def test_our_documents_begin_recordings(pbx: PbxDoor, receiver: Receiver, control: Any) -> None:
    """The answer to a notification, built by us, read by the server: announced and recorded in the
    format, finished at our address; answered once, so that no recording begins the next.
    """
    pbx.configure(control=control, notify_url=receiver.url)
    address = f"{receiver.url}?task=1&of=2"

    def answer(told: Notification) -> bytes:
        if not answerable(control, told.name) or pbx.recordings():
            return ozml.empty()
        more: dict[str, Any] = {"call_id": told.call_id}
        if control == "ozml_extension":
            more = {"call_id": None, "finish_digits": "#", "hang_up_after_seconds": 60}
        return ozml.recording(
            control, format="wav", finished_url=address, announcement="Aufgenommen & <gut>", **more
        )

    receiver.answer = answer
    call = pbx.call()
    (made,) = pbx.recordings()
    assert (made["call_id"], made["format"], made["finished_url"]) == (call, "wav", address)
    if control == "ozml_extension":
        pbx.advance(call, 60)
    else:
        pbx.end(call)
    assert [told.call_id for told in receiver.named("RecordCompleted")] == [call]
    assert len(pbx.recordings()) == 1
    assert pbx.calls()[0]["state"] == "Completed"


def test_nothing_of_the_login_is_logged(
    pbx: PbxDoor, ozeki: Ozeki, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Over a real connection, with every logger at its most talkative and nothing masked; neither
    is the token of our own receiver, nor the address of a recording.
    """
    masking.conceal([])
    listen(caplog, logging.DEBUG)
    url = finished(pbx, ozeki, receiver)
    heard(ozeki, url)
    pbx.fault("list", "reset")
    for act in (ozeki.calls, lambda: ozeki.record("none", "mp3", receiver.url)):
        with pytest.raises(ProviderError):
            act()

    assert "httpx" in {record.name for record in caplog.records}
    for secret in (pbx.password, pbx.password[-24:], "/hooks/", "HttpRecordings"):
        assert secret not in caplog.text
