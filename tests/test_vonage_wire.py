"""The Vonage client on a wire that fails: every operation, every way an answer does not come."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest

from providers.errors import (
    BadCredentials,
    Gone,
    NotFound,
    NotReady,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
)
from providers.vonage.client import Vonage

from . import shared_simulators
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .vonage_accounts import MemoryShelf
from .vonage_simulated import WINDOW, connect, ids, saved, seeded
from .waiting import in_time

simulators = shared_simulators.simulators

Act = Callable[[Vonage, str, str], object]


def heard(vonage: Vonage, recording_id: str) -> bytes:
    """The audio of a recording."""
    with vonage.audio(recording_id) as body:
        return b"".join(body.chunks())


#: Each operation, given a recording's id and an export's.
ACTS: dict[str, Act] = {
    "list": lambda vonage, _, __: vonage.recordings({}),
    "get": lambda vonage, recording, _: vonage.recording(recording).line(),
    "delete": lambda vonage, recording, _: vonage.delete(recording),
    "export": lambda vonage, _, __: vonage.export(WINDOW),
    "retrieve": lambda vonage, _, job: saved(vonage, job),
    "audio": lambda vonage, recording, _: heard(vonage, recording),
}
EACH = pytest.mark.parametrize("operation", list(ACTS))


@pytest.fixture
def door(simulators: Simulators) -> AccountDoor:
    """An account with seven recordings, whose exports are ready at once."""
    return seeded(simulators)


@pytest.fixture
def vonage(door: AccountDoor) -> Iterator[Vonage]:
    """The account's client."""
    with connect(door, MemoryShelf()) as client:
        yield client


def done(door: AccountDoor, vonage: Vonage, operation: str) -> object:
    """What the operation brings, when its export was created and its fault comes then."""
    (job,) = vonage.export(WINDOW)
    return ACTS[operation](vonage, ids(door)[0], job)


def spoilt(door: AccountDoor, vonage: Vonage, operation: str, kind: str, **more: Any) -> object:
    """The same, with the first answer of the operation spoilt."""
    door.fault(operation, kind, skip=1 if operation == "export" else 0, **more)
    return done(door, vonage, operation)


@EACH
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["reset", "close"])
def test_a_lost_answer_is_uncertain_and_asked_for_once(
    simulators: Simulators, door: AccountDoor, vonage: Vonage, operation: str, kind: str, when: str
) -> None:
    """Whatever was asked, the client neither guesses nor asks again by itself."""
    with pytest.raises(Uncertain):
        spoilt(door, vonage, operation, kind, when=when)
    asked = simulators.log.requests(operation, door.username)
    assert len(asked) == (2 if operation == "export" else 1)


@EACH
def test_a_call_that_hangs_ends_in_its_time(door: AccountDoor, operation: str) -> None:
    """Also where bytes of its head or of its answer still trickle."""
    shelf = MemoryShelf()
    with connect(door, shelf) as warm:
        warm.recordings({})
    ways: list[tuple[str, dict[str, Any]]] = [
        ("hang", {"seconds": 30, "when": "before"}),
        ("trickle", {"seconds_per_byte": 0.1, "part": "headers"}),
    ]
    if operation in ("list", "get", "export"):
        ways.append(("trickle", {"seconds_per_byte": 0.05, "part": "body"}))
    for kind, more in ways:
        with (
            connect(door, shelf, timeout_seconds=1) as vonage,
            in_time(),
            pytest.raises(Uncertain),
        ):
            spoilt(door, vonage, operation, kind, **more)


@EACH
@pytest.mark.parametrize("body", ["html", "json", "empty"])
def test_a_success_of_another_kind_is_none(
    door: AccountDoor, vonage: Vonage, operation: str, body: str
) -> None:
    """200 with a page, other JSON or nothing: no list, no export, no ZIP, no deletion."""
    kinds: dict[str, type[ProviderError]] = {"retrieve": NotReady}
    if (operation, body) in [("delete", "json"), ("delete", "empty")]:
        assert spoilt(door, vonage, operation, "answer", status=200, body=body) is True
    elif operation == "audio":
        # Sound has no sign of its own that all of it carries: the archive looks at what came.
        heard = spoilt(door, vonage, operation, "answer", status=200, body=body)
        assert isinstance(heard, bytes)
        assert len(heard) < 1000
    else:
        with pytest.raises(kinds.get(operation, Uncertain)):
            spoilt(door, vonage, operation, "answer", status=200, body=body)


@EACH
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Uncertain),
        (400, Rejected),
        (403, BadCredentials),
        (404, NotFound),
        (410, Gone),
        (429, Throttled),
        (500, Uncertain),
        (502, Uncertain),
        (503, Throttled),
        (504, Uncertain),
    ],
)
def test_each_status_means_the_same_everywhere(
    door: AccountDoor, vonage: Vonage, operation: str, status: int, kind: type[ProviderError]
) -> None:
    """But for an export that is not ready, and a recording that needs no deletion any more."""
    more: dict[str, Any] = {"status": status, "body": "msg"}
    if status == 302:
        more["headers"] = {"Location": "http://127.0.0.1:9/elsewhere"}
    if operation == "delete" and status in (404, 410):
        assert spoilt(door, vonage, operation, "answer", **more) is False
        return
    if operation == "retrieve" and status in (400, 404):
        kind = NotReady
    with pytest.raises(kind) as caught:
        spoilt(door, vonage, operation, "answer", **more)
    assert type(caught.value) is kind


@pytest.mark.parametrize("operation", ["retrieve", "audio"])
@pytest.mark.parametrize("send_length", [True, False])
def test_a_file_that_freezes_is_resumed(
    simulators: Simulators, door: AccountDoor, operation: str, send_length: bool
) -> None:
    """What came before is kept, and the rest is asked for."""
    door.configure(send_length=send_length)
    with connect(door, MemoryShelf(), timeout_seconds=3) as vonage:
        whole = done(door, vonage, operation)
        assert isinstance(whole, bytes)
        job = simulators.log.exports(door.username)[0]["job_ids"][0]

        def opening(**more: Any) -> Any:
            by_id = vonage.retrieve if operation == "retrieve" else vonage.audio
            return by_id(job if operation == "retrieve" else ids(door)[0], **more)

        door.fault(operation, "freeze", after_bytes=3000, seconds=30)
        received: list[bytes] = []
        with opening() as body, pytest.raises(Uncertain, match="stalled"):
            received.extend(body.chunks())
        held = b"".join(received)
        assert whole.startswith(held)
        assert len(held) == 3000
        with opening(etag=body.etag, offset=len(held)) as rest:
            assert (rest.offset, held + b"".join(rest.chunks())) == (3000, whole)


@pytest.mark.parametrize("how", ["clean", "close-delimited"])
@pytest.mark.parametrize("send_length", [True, False])
def test_a_file_that_is_cut_cleanly_looks_whole(
    door: AccountDoor, vonage: Vonage, how: str, send_length: bool
) -> None:
    """No length was told that could be missed, so the ZIP's own end is what tells; it is fetched
    again from its first byte.
    """
    door.configure(send_length=send_length)
    (job,) = vonage.export(WINDOW)
    whole = saved(vonage, job)
    door.fault("retrieve", "cut", after_bytes=20_000, how=how)
    cut = saved(vonage, job)

    assert (len(cut), zipfile.is_zipfile(BytesIO(cut))) == (20_000, False)
    assert saved(vonage, job) == whole


def test_more_than_the_recording_is_given_as_it_came(door: AccountDoor, vonage: Vonage) -> None:
    """The client adds and cuts nothing; the archive compares with the size that was listed."""
    one = ids(door)[0]
    door.fault("audio", "padded", bytes=7)
    padded = heard(vonage, one)

    assert padded.startswith(heard(vonage, one))
    assert len(padded) == (vonage.recording(one).line()["file_size_in_bytes"] or 0) + 7
