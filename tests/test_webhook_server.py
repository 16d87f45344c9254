"""The receiver of notifications, over HTTP: what it takes, and what it refuses."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from ledger import recording_instructions as recorded
from ledger.core import states

from .deployment import Deployment
from .ozeki_house import OzekiHouse, ozeki_house
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

NOBODYS = "x" * 43
EMPTY = b"<Response></Response>"


@pytest.fixture
def office(deploy: Deploy, simulators: Simulators) -> OzekiHouse:
    """A house with receiver and worker."""
    made = ozeki_house(deploy, simulators)
    made.hooks()
    made.house.worker()
    return made


@contextmanager
def _connected(office: OzekiHouse) -> Iterator[socket.socket]:
    parts = httpx.URL(office.url)
    assert parts.port
    with socket.create_connection((parts.host, parts.port), timeout=20) as connection:
        yield connection


def test_told_three_times(office: OzekiHouse) -> None:
    """A RecordCompleted that comes three times is answered so each time, and collected once."""
    call_id = office.recorded()
    office.pbx.fault("RecordCompleted", "repeat", count=3)
    office.pbx.end(call_id)

    office.one_file()
    assert len(list(office.house.store.paths("office/recordings"))) == 2
    sent = office.notified("RecordCompleted")
    assert [one["status"] for one in sent] == [200] * 3
    assert all(one["answer"].encode().endswith(EMPTY) for one in sent)


def test_told_before_the_starts_own_answer(office: OzekiHouse) -> None:
    """A RecordCompleted that overtakes the answer to Record finds its collection there."""
    office.pbx.fault("RecordCompleted", "early")
    office.recorded()

    office.one_file()


def test_a_foreign_host(office: OzekiHouse) -> None:
    """A RecordURL on a host that is not the account's is not fetched: a visible failure that says
    what to do, and not a byte was asked for.
    """
    call_id = office.recorded()
    office.pbx.fault("RecordCompleted", "foreign_host", host="169.254.169.254")
    office.pbx.end(call_id)

    failed = office.collected("r1", states.FAILED)
    assert "recording_hosts" in str(failed.reason)
    assert "169.254" not in str(failed.reason)
    assert not [one for one in office.simulators.log if one.get("operation") == "recording"]


def test_a_wrong_token(office: OzekiHouse) -> None:
    """Tokens of nobody, accounts of nobody and addresses of nobody are answered alike, and change
    nothing.
    """
    call_id = office.recorded()
    right = office.instruction().token
    told = {"NotificationName": "RecordCompleted", "RecordURL": f"{office.pbx.base_url}/x.mp3"}
    paths = ["office/completed/wrong", f"office/completed/{NOBODYS}", f"home/completed/{right}"]
    paths += ["home/notify", f"office/completed/{right[:-1]}", f"office/completed/{right}/x", ""]
    answers = [office.post(f"{office.url}/ozeki/{path}", told) for path in paths]
    assert {(one.status_code, one.content) for one in answers} == {(404, b"")}

    office.pbx.fault("RecordCompleted", "wrong_token", token=NOBODYS)
    office.pbx.end(call_id)
    assert office.notified("RecordCompleted")[0]["status"] == 404
    assert office.instruction().state == recorded.ANSWERED
    log = office.log("hooks")
    assert right not in log
    assert "?" not in log


def test_a_large_body(office: OzekiHouse) -> None:
    """A form of more than 64 KiB is answered 413 before it is sent, whether its size was told or
    not; one of 10 MB is not read, and the receiver goes on.
    """
    office.recorded()
    path = f"/ozeki/office/completed/{office.instruction().token}"
    for told in ("Content-Length: 10485760", "Transfer-Encoding: chunked"):
        with _connected(office) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{told}\r\n\r\n"
            connection.sendall(head.encode())
            if "chunked" in told:
                connection.sendall(b"11000\r\n" + b"x" * 0x11000 + b"\r\n")
            assert connection.recv(12) == b"HTTP/1.1 413"
            with contextlib.suppress(OSError):
                for _ in range(160):
                    connection.sendall(b"x" * 65536)
                raise AssertionError("ten megabytes were taken")

    answer = office.post(office.completed_url(office.instruction().token), {"A": "b" * 60_000})
    assert answer.status_code == 400
    assert office.instruction().state == recorded.ANSWERED


def test_a_network_that_is_not_allowed(deploy: Deploy, simulators: Simulators) -> None:
    """Who notifies from elsewhere than allowed_networks is answered as for an address of nobody;
    the log tells the operator why.
    """
    office = ozeki_house(deploy, simulators, allowed_networks=["192.0.2.0/24"])
    office.hooks()
    office.house.worker()
    call_id = office.recorded()
    office.pbx.end(call_id)

    assert office.notified("RecordCompleted")[0]["status"] == 404
    assert office.instruction().state == recorded.ANSWERED
    assert "allowed_networks" in office.log("hooks")


def test_forms_that_are_none(office: OzekiHouse) -> None:
    """What can not be read is answered 400; a form without RecordURL ends nothing; other methods
    are refused. The end that comes after them is taken all the same.
    """
    call_id = office.recorded()
    url = office.completed_url(office.instruction().token)
    assert office.post(url, {"Nothing": "x"}).status_code == 400
    assert office.post(url, {"NotificationName": "RecordCompleted"}).status_code == 200
    assert office.post(url, {"NotificationName": "CallChanged"}).status_code == 200
    assert httpx.get(url, trust_env=False, timeout=30).status_code == 405
    assert office.instruction().state == recorded.ANSWERED

    office.pbx.end(call_id)
    office.one_file()


def test_stopping(office: OzekiHouse) -> None:
    """On SIGTERM it answers what has begun to come, and ends with status 0 in good time."""
    office.recorded()
    url = office.completed_url(office.instruction().token)
    path = httpx.URL(url).path
    receiver = office.house.processes[0]
    body = f"RecordURL={office.pbx.base_url}/HttpRecordings/none.mp3".encode()
    with _connected(office) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:10])
        _began(office)
        receiver.popen.terminate()
        eventually(lambda: not _listens(office), what="it went on listening")
        connection.sendall(body[10:])
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert receiver.popen.wait(timeout=60) == 0
    kept = list((office.house.spool / "hooks").glob("*.json"))
    assert kept or office.instruction().state == recorded.COMPLETED


def _began(office: OzekiHouse) -> None:
    """What was sent before has been taken up: so it has when a later request was answered."""
    assert office.post(f"{office.url}/ozeki/office/notify", {"NotificationName": "x"}).is_success


def _listens(office: OzekiHouse) -> bool:
    try:
        with _connected(office):
            return True
    except OSError:
        return False


def test_more_connections_than_a_process_may_have(deploy: Deploy, simulators: Simulators) -> None:
    """Anybody may connect, and say nothing: what is too many is closed, in one line of the log, and
    the next who comes when there is room is answered.
    """
    office = ozeki_house(deploy, simulators)
    receiver = office.hooks()
    _, most = resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE, (100, most))
    with contextlib.ExitStack() as held:
        for _ in range(150):
            held.enter_context(_connected(office)).sendall(
                b"POST /ozeki/office/notify HTTP/1.1\r\n"
            )
        eventually(lambda: "the limit of open connections is reached" in receiver.log())
    assert eventually(lambda: _health(office) == 204)
    assert receiver.log().count("the limit of open connections is reached") == 1
    assert "Too many open files" not in receiver.log()


def _health(office: OzekiHouse) -> int | None:
    try:
        return httpx.get(f"{office.url}/health", timeout=30).status_code
    except httpx.HTTPError:
        return None
