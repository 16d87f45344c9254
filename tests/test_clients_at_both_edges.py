"""What the clients of all providers have in common, at a mock transport and over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from providers.errors import (
    BadCredentials,
    NotFound,
    ProviderError,
    Rejected,
    Throttled,
    Uncertain,
)

from . import edges
from .certified_calls import ASKED
from .edges import Edge
from .vonage_accounts import MemoryShelf
from .waiting import eventually, in_time

edge = edges.edge

DAY = date(2026, 11, 19)
WINDOW = {"start:gte": "2026-11-19T00:00:00Z", "start:lte": "2026-11-19T23:59:59Z"}
#: The parameters of a certified call that the client takes besides the account's own.
CALL = {name: value for name, value in ASKED.items() if name not in ("account", "request_id")}


@dataclass(frozen=True)
class Operation:
    """An operation of a client: ``name`` is the simulator's word for its request, ``subject`` makes
    what it is about, ``act`` performs it, ``done`` counts at the provider what it did.
    ``throttled`` is the error of an answer that asks to wait.
    """

    provider: str
    name: str
    act: Callable[[Any, str], object]
    subject: Callable[[Any], str] = lambda _: ""
    done: Callable[[Any], int] = lambda _: 0
    throttled: type[ProviderError] = Throttled
    tells_wait: bool = True
    has_body: bool = True


def _place(client: Any, _: str) -> object:
    return client.call(**CALL, before_bytes=lambda: None)


def _call(door: Any) -> str:
    return str(door.begin_call()["id"])


def _recorded(door: Any) -> str:
    """The id of a call that is recorded."""
    return str(door.call())


def _recording(door: Any) -> str:
    return str(door.seed(DAY, "Asia/Kolkata", 3)[0]["id"])


OPERATIONS = {
    f"{one.provider}-{one.name}": one
    for one in (
        Operation(
            "gsmblockchain",
            "call",
            _place,
            done=lambda door: len(door.calls()),
            throttled=Uncertain,
        ),
        Operation(
            "ozeki",
            "list",
            lambda client, _: client.calls(),
            throttled=Uncertain,
            tells_wait=False,
        ),
        Operation(
            "ozeki",
            "record",
            lambda client, call: client.record(call),
            _recorded,
            lambda door: len(door.recordings()),
            throttled=Uncertain,
            tells_wait=False,
        ),
        Operation("voipnow", "list", lambda client, _: client.calls(), _call),
        Operation(
            "voipnow",
            "start",
            lambda client, call: client.start(call, "01"),
            _call,
            lambda door: len(door.actions()),
        ),
        Operation(
            "voipnow",
            "stop",
            lambda client, call: client.stop(call, "01"),
            _call,
            lambda door: len(door.actions()),
        ),
        Operation("vonage", "list", lambda client, _: client.recordings({}), _recording),
        Operation("vonage", "get", lambda client, one: client.recording(one), _recording),
        Operation(
            "vonage",
            "delete",
            lambda client, one: client.delete(one),
            _recording,
            lambda door: 3 - len(door.recordings()),
            has_body=False,
        ),
        Operation(
            "vonage",
            "export",
            lambda client, _: client.export(WINDOW),
            _recording,
            lambda door: len(door.jobs()),
        ),
    )
}
EACH = pytest.mark.parametrize("name", OPERATIONS)
LOOKS = [name for name in OPERATIONS if name.endswith(("-list", "-get"))]
#: By which of its names the simulator's log knows an account.
_NAMES = {"voipnow": "client_id", "ozeki": "name"}


class Scene:
    """An account at its provider, what an operation is about, and what the provider has seen."""

    def __init__(self, edge: Edge, name: str) -> None:
        self._edge = edge
        self._operation = OPERATIONS[name]
        self.door: Any = getattr(edge.simulators, self._operation.provider).account()
        self.subject = self._operation.subject(self.door)

    def fault(self, kind: str, **more: Any) -> None:
        """The next request of the operation meets this."""
        self.door.fault(self._operation.name, kind, **more)

    def act(self, shelf: MemoryShelf | None = None, **more: Any) -> object:
        """Perform the operation by a client of its own; ``more`` are fields of the account."""
        with self._edge.client(self.door, shelf, **more) as client:
            return self._operation.act(client, self.subject)

    @property
    def done(self) -> int:
        """How often the provider has done it."""
        return self._operation.done(self.door)

    def seen(self, operation: str | None = None) -> int:
        """How many requests of an operation have come to the provider, the scene's unless told."""
        account = getattr(self.door, _NAMES.get(self._operation.provider, "username"))
        log = self._edge.simulators.log
        return len(log.requests(operation or self._operation.name, account))


@EACH
def test_it_is_done_once(edge: Edge, name: str) -> None:
    """One request, which the provider understands and acts on."""
    scene = Scene(edge, name)
    scene.act()
    assert (scene.seen(), scene.done) == (1, 0 if name in LOOKS else 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ozeki-record", NotFound),
        ("voipnow-start", Rejected),
        ("voipnow-stop", Rejected),
        ("vonage-get", NotFound),
    ],
)
def test_what_is_not_there_is_refused(edge: Edge, name: str, kind: type[ProviderError]) -> None:
    """A call or a recording of an id that the provider does not know: it is asked for once."""
    scene = Scene(edge, name)
    scene.subject = "404404"
    with pytest.raises(kind):
        scene.act()
    assert scene.seen() == 1


def test_a_platform_says_why_it_places_no_call(edge: Edge) -> None:
    """In its own words; no call is counted."""
    scene = Scene(edge, "gsmblockchain-call")
    scene.fault("ko", message="no credit")
    with pytest.raises(Rejected, match="no credit"):
        scene.act()
    assert scene.done == 0


@EACH
def test_a_wrong_secret_is_the_credentials(edge: Edge, name: str) -> None:
    """Nothing is done, and the secret is in no word of the error."""
    scene = Scene(edge, name)
    field = "client_secret" if name.startswith("voipnow") else "password"
    with pytest.raises(BadCredentials) as caught:
        scene.act(**{field: "mistyped-canary"})
    assert "mistyped-canary" not in str(caught.value)
    assert scene.done == 0


@pytest.mark.parametrize("name", [one for one in OPERATIONS if one.startswith("vo")])
def test_a_token_that_has_ended_is_renewed_once(edge: Edge, name: str) -> None:
    """The request is sent again with the new one, and what it asks for is done once."""
    scene = Scene(edge, name)
    shelf = MemoryShelf()
    with edge.client(scene.door, shelf) as first:
        first.probe()
    scene.door.expire_tokens()
    before = scene.seen()
    scene.act(shelf=shelf)
    assert scene.seen() - before == 2
    assert scene.done == (0 if name in LOOKS else 1)


@EACH
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_provider_that_asks_to_wait(edge: Edge, name: str, status: int, form: str) -> None:
    """The error says for how long, in either of the header's forms; nothing was done."""
    scene = Scene(edge, name)
    scene.fault("answer", status=status, retry_after=7, retry_after_as=form)
    with pytest.raises(OPERATIONS[name].throttled) as caught:
        scene.act()
    if OPERATIONS[name].tells_wait:
        assert caught.value.retry_after == pytest.approx(7, abs=1.5)
    assert (scene.seen(), scene.done) == (1, 0)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (name, body)
        for name, one in OPERATIONS.items()
        for body in ("html", "empty")
        if one.has_body or body == "html"
    ],
)
def test_a_success_of_another_kind_is_none(edge: Edge, name: str, body: str) -> None:
    """200 with a page, or with nothing where something is told, says neither that it was done nor
    that it was not.
    """
    scene = Scene(edge, name)
    scene.fault("answer", status=200, body=body)
    with pytest.raises(Uncertain):
        scene.act()
    assert scene.seen() == 1


@EACH
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["reset", "close"])
def test_a_lost_answer_is_uncertain_and_asked_for_once(
    edge: Edge, name: str, kind: str, when: str
) -> None:
    """Whether it was done the client does not know, and does not ask again by itself."""
    scene = Scene(edge, name)
    scene.fault(kind, when=when)
    with pytest.raises(Uncertain):
        scene.act()
    assert scene.seen() == 1
    assert scene.done == (0 if when == "before" or name in LOOKS else 1)


@EACH
def test_a_request_that_hangs_ends_in_its_time(edge: Edge, name: str) -> None:
    """Its account's ``timeout_seconds`` limit it, and it is not sent twice."""
    scene = Scene(edge, name)
    shelf = MemoryShelf()
    if name.startswith("vo"):  # the limit is for the request alone, without its token's
        with edge.client(scene.door, shelf) as first:
            first.probe()
    before = scene.seen()
    scene.fault("hang", seconds=30)
    with in_time(), pytest.raises(Uncertain):
        scene.act(shelf, timeout_seconds=2)
    eventually(lambda: scene.seen() > before, what="the provider has not read it")
    assert scene.seen() == before + 1


@pytest.mark.parametrize("name", [one for one in OPERATIONS if OPERATIONS[one].has_body])
@pytest.mark.parametrize("how", ["broken", "clean", "close-delimited", "reset"])
def test_an_answer_that_is_cut_is_uncertain(edge: Edge, name: str, how: str) -> None:
    """However the cut looks."""
    scene = Scene(edge, name)
    scene.fault("cut", after_bytes=20, how=how)
    with pytest.raises(Uncertain):
        scene.act()
    assert scene.seen() == 1
