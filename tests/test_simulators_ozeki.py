"""The Ozeki simulator answers, notifies and carries out documents as the vendor's pages say."""

from __future__ import annotations

import hashlib
import io
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import httpx
import pytest
from defusedxml.ElementTree import fromstring

from . import shared_simulators
from .ozeki_accounts import sample
from .ozeki_simulated import Receiver
from .simulators import Simulators
from .simulators.ozeki_control import OzekiControl
from .simulators.ozeki_door import OzekiDoor, PbxDoor
from .simulators.remote import running
from .visitor import PATIENCE

simulators = shared_simulators.simulators

EXTENSION = b"""<?xml version="1.0"?><Response><Speak>Recorded.</Speak>
<Record FinishedUrl="%s" FinishDigits="1" Format="wav"></Record>
<Delay>60</Delay><Hangup/></Response>"""


@pytest.fixture
def pbx(simulators: Simulators) -> PbxDoor:
    """A server."""
    return simulators.ozeki.account()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An application that is told of calls."""
    with Receiver() as listening:
        yield listening


def asked(pbx: PbxDoor, command: str | None, *, login: bool = True, **more: str) -> httpx.Response:
    """The answer to a command."""
    given = {"Username": pbx.username, "Password": pbx.password} if login else {}
    told = {"command": command} if command else {}
    params = {**told, **given, **more}
    return httpx.get(f"{pbx.base_url}/", params=params, trust_env=False, timeout=PATIENCE)


def answered(response: httpx.Response) -> tuple[int, str]:
    """Code and message."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/xml"
    root: Element = fromstring(response.content)
    return int(root.findtext("Code") or 0), root.findtext("Message") or ""


def tags(document: bytes) -> list[str]:
    """The elements in their order."""
    return [one.tag for one in fromstring(document).iter()]


def fetch(url: str, **headers: str) -> httpx.Response:
    """A file."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(url, headers=named, trust_env=False, timeout=PATIENCE)


def test_a_recording_begins_as_on_the_vendors_page(pbx: PbxDoor) -> None:
    """The answer is the vendor's, byte for byte but for line ends; names count in any case, GET and
    POST are the same.
    """
    call = pbx.call()
    answer = asked(pbx, "Record", CallId=call)
    assert answer.text.split() == sample("done.xml").decode().split()
    assert answer.headers["server"] == "Microsoft-HTTPAPI/2.0"
    form = {"COMMAND": "record", "callid": call, "format": "wav"}
    form |= {"username": pbx.username, "password": pbx.password}
    assert answered(httpx.post(f"{pbx.base_url}/", data=form, trust_env=False))[0] == 200
    assert [(r["format"], r["ended"]) for r in pbx.recordings()] == [("mp3", None), ("wav", None)]


def test_lists_calls_as_on_the_vendors_page(pbx: PbxDoor) -> None:
    """Element by element, the time with four fractional digits and its offset."""
    pbx.configure(namespaces="xsi_first")
    pbx.call(call_id="uteom", started_at="2013-07-01T10:49:07.955800+02:00")
    pbx.advance("uteom", 956)
    answer = asked(pbx, "ListActiveCalls")
    assert answer.text.split() == sample("active_calls.xml").decode().split()
    pbx.end("uteom")
    assert tags(asked(pbx, "ListActiveCalls").content)[-1] == "ActiveCalls"
    pbx.configure(empty_list="absent")
    assert tags(asked(pbx, "ListActiveCalls").content) == ["Response", "Code", "Message"]


def test_every_code_of_the_record_command(pbx: PbxDoor) -> None:
    """Each for its reason, with the vendor's message, under HTTP 200."""
    call = pbx.call(call_id="uteom")
    assert answered(asked(pbx, "Record", CallId=call)) == (200, "Command successfully executed")
    assert answered(asked(pbx, None))[0] == 300
    assert answered(asked(pbx, "Dance")) == (301, "Not implemented command: 'Dance'")
    missing = "Missing or invalid parameter '{}' for command 'Record'"
    assert answered(asked(pbx, "Record")) == (302, missing.format("CallId"))
    assert answered(asked(pbx, "Record", CallId=call, Format="ogg")) == (
        302,
        missing.format("Format"),
    )
    assert answered(asked(pbx, "Record", CallId="UTEOM")) == (601, "Call not found with ID UTEOM")
    assert answered(asked(pbx, "Record", login=False, CallId=call))[0] == 304
    assert answered(asked(pbx, "Record", CallId=call, Password="no"))[0] == 305
    pbx.configure(user_allowed=False)
    assert answered(asked(pbx, "Record", CallId=call))[0] == 306
    pbx.configure(address_allowed=False)
    assert answered(asked(pbx, "Record", CallId=call))[0] == 307
    pbx.configure(user_allowed=True, address_allowed=True, authentication=False)
    assert answered(asked(pbx, "Record", login=False, CallId=call))[0] == 200
    pbx.end(call)
    assert answered(asked(pbx, "Record", login=False, CallId=call))[0] == 601


def test_other_codes_and_answers_on_request(simulators: Simulators, pbx: PbxDoor) -> None:
    """Those that Record does not give of itself, and what is not an answer at all."""
    call = pbx.call()
    for code in (303, 401, 402, 501, 701, 702, 703, 999):
        pbx.fault("record", "answer", body=str(code))
        assert answered(asked(pbx, "Record", CallId=call))[0] == code
    pbx.fault("record", "answer", body="html", status=502, retry_after=3)
    answer = asked(pbx, "Record", CallId=call)
    assert (answer.status_code, answer.headers["retry-after"]) == (502, "3")
    pbx.fault("record", "answer", body="empty", when="after")
    assert asked(pbx, "Record", CallId=call).content == b""
    assert len(pbx.recordings()) == 1
    pbx.fault("record", "close", when="before")
    with pytest.raises(httpx.RemoteProtocolError):
        asked(pbx, "Record", CallId=call)
    assert len(pbx.recordings()) == 1
    assert len(simulators.log.requests("record", pbx.name)) == 11


def test_a_recording_ends_with_its_call(pbx: PbxDoor, receiver: Receiver) -> None:
    """Then RecordCompleted comes to FinishedURL, by a form, and names a file that is there by now;
    without a FinishedURL nothing comes.
    """
    call = pbx.call()
    asked(pbx, "Record", CallId=call, FinishedURL=f"{receiver.url}?task=1", Format="wav")
    asked(pbx, "Record", CallId=call)
    names = [r["file_name"] for r in pbx.recordings()]
    assert fetch(f"{pbx.base_url}/HttpRecordings/{names[0]}").status_code == 404
    assert receiver.received == []
    pbx.end(call)
    ((path, told),) = receiver.received
    assert path == "/hooks/office/token?task=1"
    assert list(told.fields) == ["NotificationName", "RecordURL", "CallID"]
    assert (told.name, told.call_id) == ("RecordCompleted", call)
    assert receiver.headers[0]["Content-Type"] == "application/x-www-form-urlencoded"
    assert receiver.headers[0]["Cache-Control"] == "no-store,no-cache"
    assert told.record_url == f"{pbx.base_url}/HttpRecordings/{names[0]}"
    assert [r["ended"] for r in pbx.recordings()] == ["call ended", "call ended"]


def test_files_are_real_and_each_its_own(pbx: PbxDoor) -> None:
    """MP3 and WAV with their types and sums; a part is given to who holds the rest of it."""
    call = pbx.call()
    for form in ("mp3", "wav", "mp3", "wav"):
        asked(pbx, "Record", CallId=call, Format=form)
    pbx.end(call)
    files = [fetch(f"{pbx.base_url}/HttpRecordings/{r['file_name']}") for r in pbx.recordings()]
    told = [r["sha256"] for r in pbx.recordings()]
    assert [hashlib.sha256(file.content).hexdigest() for file in files] == told
    assert len(set(told)) == 4
    assert [f.headers["content-type"] for f in files] == ["audio/mpeg", "audio/wav"] * 2
    assert files[0].content.startswith(b"ID3")
    with wave.open(io.BytesIO(files[1].content)) as sound:
        assert sound.getnframes() == 4000
    part = fetch(str(files[0].url), Range="bytes=100-", If_Range=files[0].headers["etag"])
    assert (part.status_code, part.content) == (206, files[0].content[100:])
    pbx.configure(recording_bytes=300_000)
    again = pbx.call()
    asked(pbx, "Record", CallId=again)
    assert pbx.recordings()[-1]["bytes"] == 300_000


def test_under_http_control_nobody_is_told_of_calls(pbx: PbxDoor, receiver: Receiver) -> None:
    """And what RecordCompleted is answered with is not carried out."""
    pbx.configure(notify_url=receiver.url)
    receiver.answer = lambda _: b"<Response><Hangup/></Response>"
    one, other = pbx.call("Ringing"), pbx.call()
    pbx.change(one, "InCall")
    asked(pbx, "Record", CallId=one, FinishedURL=receiver.url)
    pbx.end(one)
    assert [told.name for _, told in receiver.received] == ["RecordCompleted"]
    assert [c["state"] for c in pbx.calls() if c["call_id"] == other] == ["InCall"]


def test_a_third_party_is_told_of_every_change(pbx: PbxDoor, receiver: Receiver) -> None:
    """CallChanged names call and state; a Record in its answer begins a recording of that call, or
    of the one that it names.
    """
    pbx.configure(control="ozml_third_party", notify_url=receiver.url)
    call = pbx.call("Ringing")
    pbx.change(call, "InCall")
    states = [(told.call_id, told.call_state) for told in receiver.named("CallChanged")]
    assert states == [(call, "Ringing"), (call, "InCall")]
    other = pbx.call()
    named = f'<Response><Record CallId="{other}" Duration="1" FinishDigits="1"/></Response>'
    answers = iter([b"<Response><Record Format='wav'/></Response>", named.encode()])
    receiver.answer = lambda _: next(answers, b"")
    pbx.change(call, "Hold")
    pbx.change(call, "InCall")
    found = [(r["call_id"], r["format"], r["via"]) for r in pbx.recordings()]
    assert found == [(call, "wav", "ozml"), (other, "mp3", "ozml")]
    pbx.advance(other, 60)
    pbx.press(other, "1")
    assert pbx.recordings()[1]["ended"] is None


def test_an_extension_carries_out_its_document(
    simulators: Simulators, pbx: PbxDoor, receiver: Receiver
) -> None:
    """Speak, Record, Delay and Hangup of the vendor's detailed example, the recording stopped by a
    key, in the background or, where a switch says so, before the Delay.
    """
    pbx.configure(control="ozml_extension", notify_url=receiver.url)
    document = EXTENSION % receiver.url.encode()
    receiver.answer = lambda told: document if told.name == "CallConnected" else b""
    call = pbx.call()
    (spoken,) = simulators.log.effects("command", pbx.name, command="speak")
    assert spoken["text"] == "Recorded."
    pbx.press(call, "2")
    pbx.advance(call, 59)
    assert pbx.recordings()[0]["ended"] is None
    pbx.press(call, "31")
    assert pbx.recordings()[0]["ended"] == "key pressed"
    pbx.advance(call, 1)
    assert pbx.calls()[0]["state"] == "Completed"
    assert len(receiver.named("RecordCompleted")) == 1
    pbx.configure(record_blocks=True)
    call = pbx.call()
    pbx.advance(call, 100)
    pbx.press(call, "1")
    pbx.advance(call, 59)
    assert pbx.calls()[1]["state"] == "InCall"
    pbx.advance(call, 1)
    assert pbx.calls()[1]["state"] == "Completed"


@pytest.mark.parametrize(
    ("attributes", "ended"), [('Duration="60"', "duration"), ('Inactivity="5"', "inactivity")]
)
def test_an_extensions_recording_ends_by_itself(
    pbx: PbxDoor, receiver: Receiver, attributes: str, ended: str
) -> None:
    """After its longest time, or after so much silence; the call continues."""
    pbx.configure(control="ozml_extension", notify_url=receiver.url)
    receiver.answer = lambda _: f"<Response><Record {attributes} CallId='no'/></Response>".encode()
    call = pbx.call("Ringing")
    assert receiver.named("IncomingCall")[0].call_id == call
    pbx.advance(call, 4, silent=True)
    pbx.advance(call, 51)
    pbx.advance(call, 4, silent=True)
    assert pbx.recordings()[0]["ended"] is None
    pbx.advance(call, 1, silent=True)
    assert pbx.recordings()[0]["ended"] == ended
    assert pbx.recordings()[0]["call_id"] == call
    assert pbx.calls()[0]["state"] == "Ringing"


@pytest.mark.parametrize(
    "document",
    [
        b"nothing",
        b"<Other/>",
        b"<Response><Dance/></Response>",
        b"<Response><Delay>long</Delay></Response>",
        b'<Response><Record Format="ogg"/></Response>',
        b'<!DOCTYPE a [<!ENTITY b "c">]><Response><Speak>&b;</Speak></Response>',
    ],
)
def test_a_document_that_is_none_changes_nothing(
    simulators: Simulators, pbx: PbxDoor, receiver: Receiver, document: bytes
) -> None:
    """It is noted as refused."""
    pbx.configure(control="ozml_extension", notify_url=receiver.url)
    receiver.answer = lambda _: document
    pbx.call()
    assert pbx.recordings() == []
    assert len(simulators.log.effects("document_refused", pbx.name)) == 1


def recorded(pbx: PbxDoor, receiver: Receiver) -> str:
    """A call that is recorded."""
    call = pbx.call()
    asked(pbx, "Record", CallId=call, FinishedURL=receiver.url)
    return call


def test_notifications_are_repeated_and_lost(
    simulators: Simulators, pbx: PbxDoor, receiver: Receiver
) -> None:
    """RecordCompleted comes three times, or never."""
    pbx.fault("RecordCompleted", "repeat")
    pbx.end(recorded(pbx, receiver))
    assert len({told.record_url for told in receiver.named("RecordCompleted")}) == 1
    assert len(receiver.received) == 3
    pbx.fault("RecordCompleted", "lost")
    pbx.end(recorded(pbx, receiver))
    assert len(receiver.received) == 3
    assert len(simulators.log.effects("notification_sent", pbx.name)) == 3
    assert len(simulators.log.effects("notification_lost", pbx.name)) == 1


def test_notifications_are_misdirected(pbx: PbxDoor, receiver: Receiver) -> None:
    """To another token, of a file on another host, with a body of 10 MB."""
    pbx.fault("RecordCompleted", "wrong_token", token="guessed")
    pbx.fault("RecordCompleted", "foreign_host", host="169.254.169.254:80")
    pbx.end(recorded(pbx, receiver))
    ((path, told),) = receiver.received
    assert path == "/hooks/office/guessed"
    assert (told.record_url or "").startswith("http://169.254.169.254:80/ozeki/")
    pbx.fault("RecordCompleted", "huge")
    pbx.end(recorded(pbx, receiver))
    assert len(receiver.bodies[1]) > 10 << 20


def test_a_notification_comes_before_the_answer(pbx: PbxDoor, receiver: Receiver) -> None:
    """The recording is completed before the start of it is answered."""
    pbx.fault("RecordCompleted", "early")
    pbx.fault("record", "close", when="after")
    call = pbx.call()
    with pytest.raises(httpx.RemoteProtocolError):
        asked(pbx, "Record", CallId=call, FinishedURL=receiver.url)
    ((_, told),) = receiver.received
    assert fetch(told.record_url or "").status_code == 200
    pbx.end(call)
    assert len(receiver.received) == 1


def test_a_notification_comes_late(pbx: PbxDoor, receiver: Receiver) -> None:
    """The call's end does not wait for it."""
    pbx.fault("RecordCompleted", "delayed", seconds=0.3)
    began = time.monotonic()
    pbx.end(recorded(pbx, receiver))
    receiver.wait_for(1)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("spelling", ["CallID", "CallId", "absent"])
def test_the_calls_id_is_spelt_as_the_switch_says(
    pbx: PbxDoor, receiver: Receiver, spelling: str
) -> None:
    """Nobody documents its name in RecordCompleted, nor that it is there."""
    pbx.configure(call_id_field=spelling)
    pbx.end(recorded(pbx, receiver))
    fields = set(receiver.received[0][1].fields) - {"NotificationName", "RecordURL"}
    assert fields == ({spelling} - {"absent"})


def test_a_receiver_that_is_away_is_noted(simulators: Simulators, pbx: PbxDoor) -> None:
    """The vendor documents no second try, so none is made."""
    call = pbx.call()
    asked(pbx, "Record", CallId=call, FinishedURL="http://127.0.0.1:1/hooks")
    pbx.end(call)
    (sent,) = simulators.log.effects("notification_sent", pbx.name)
    assert (sent["status"], sent["error"]) == (None, "ConnectionRefusedError")


def test_wishes_that_are_not_understood(simulators: Simulators, pbx: PbxDoor) -> None:
    """Switches, states, calls, servers and misbehaviours that there are not."""
    wishes: list[Any] = [
        lambda: pbx.configure(control="smoke"),
        lambda: pbx.configure(nothing=1),
        lambda: pbx.call("Asleep"),
        lambda: pbx.end("none"),
        lambda: pbx.fault("CallChanged", "foreign_host"),
        lambda: pbx.fault("record", "repeat"),
        lambda: pbx.fault("record", "padded"),
        lambda: simulators.ozeki.account("a/b"),
        lambda: simulators.ozeki.fault("dance", "close"),
    ]
    for wish in wishes:
        with pytest.raises(ValueError, match=r"\w"):
            wish()
    nowhere = httpx.get(f"{pbx.base_url}x/?command=Record", trust_env=False)
    assert nowhere.status_code == 404


def test_another_process_has_the_same_methods(tmp_path: Path, receiver: Receiver) -> None:
    """Calls, recordings, faults, secrets and the log work over HTTP."""
    with running(tmp_path) as elsewhere:
        pbx = elsewhere.ozeki.account("branch", authentication=True)
        pbx.fault("RecordCompleted", "repeat", count=2)
        pbx.end(recorded(pbx, receiver))
        assert len(receiver.received) == 2
        assert elsewhere.ozeki.faults() == []
        assert elsewhere.ozeki.accounts() == ["branch"]
        assert elsewhere.ozeki.secrets() == [pbx.password]
        assert fetch(receiver.received[0][1].record_url or "").status_code == 200
        assert len(elsewhere.log.effects("recording_finished", "branch")) == 1
        with pytest.raises(ValueError, match="no live call"):
            pbx.end("none")


def test_every_method_of_the_doors_is_there() -> None:
    """Whatever a door offers, the control behind it knows, so no method is missing over HTTP."""
    offered = {name for door in (OzekiDoor, PbxDoor) for name in dir(door)}
    known = {name for name in vars(OzekiControl) if not name.startswith("_")}
    asked_for = {name for name in offered if not name.startswith("_")}
    assert asked_for - {"configuration", "end"} <= known
    assert known - {"addresses"} <= asked_for
