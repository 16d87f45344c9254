"""The two edges of a provider's client: a mock transport without a connection, and real HTTP.

The same simulated providers answer at both, with the same accounts, misbehaviours and log.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import pytest

from providers import registry
from providers.interface import Probes

from .simulators import Simulators
from .simulators.log import Record
from .simulators.messages import Reply, Request
from .simulators.wire import Delivery, Severed, Wire, headers
from .vonage_accounts import MemoryShelf

#: The moment in which a connection would have been opened and nothing of a request been sent.
_BEFORE_BYTES = "http11.send_request_headers.started"
_TOO_LATE = "client gone: it waited long enough"


class Door(Protocol):
    """An account of any simulated provider."""

    def configuration(self) -> Mapping[str, Any]:
        """The account as a section of accounts.toml."""


@dataclass(frozen=True)
class Edge:
    """Where clients meet ``simulators``: at ``transport``, or over HTTP where that is None."""

    simulators: Simulators
    transport: httpx.BaseTransport | None = None

    def client(self, door: Door, shelf: MemoryShelf | None = None, **more: Any) -> Any:
        """A client of an account, as one more worker has it; ``more`` are fields of the account."""
        table = {"alias": "edge", "timeout_seconds": 10, **door.configuration(), **more}
        model = registry.providers()[table["provider"]].account
        account = model.model_validate(table)
        store = shelf or MemoryShelf()
        return registry.client(account, Probes, store, transport=self.transport)


@pytest.fixture(params=["mock", "http"])
def edge(request: pytest.FixtureRequest, simulators_of_module: Simulators) -> Edge:
    """Both edges, one after the other, of simulators that the tests of a file share."""
    if request.param == "http":
        return Edge(simulators_of_module)
    return Edge(simulators_of_module, mocked(simulators_of_module))


def mocked(simulators: Simulators) -> httpx.MockTransport:
    """A transport that the simulated providers answer themselves. What a connection would do to a
    request is the error that httpx would raise, at once: nothing is waited for.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        if told := request.extensions.get("trace"):
            told(_BEFORE_BYTES, {})
        target = request.url.raw_path.decode("ascii")
        sent = Request.sent(request.method, target, dict(request.headers), request.read())
        try:
            with simulators.answered(sent, _NoWire(request)) as (reply, delivery, record):
                body = _Body(reply, delivery, record)
                return httpx.Response(reply.status, headers=headers(reply, delivery), stream=body)
        except Severed as severed:
            raise _as_heard(severed.how) from None

    return httpx.MockTransport(answer)


def _as_heard(how: str) -> httpx.TransportError:
    """What a client hears of an exchange that the simulator severed."""
    if how == _TOO_LATE:
        return httpx.ReadTimeout(how)
    return httpx.ReadError(how) if how.startswith("reset") else httpx.RemoteProtocolError(how)


class _NoWire(Wire):
    """Waits of a simulator that a client sits out, or gives up at once."""

    def __init__(self, request: httpx.Request) -> None:
        self._read_seconds: float | None = request.extensions["timeout"]["read"]

    def wait(self, seconds: float) -> None:
        if self._read_seconds is not None and seconds >= self._read_seconds:
            raise Severed(_TOO_LATE)
        time.sleep(seconds)

    def reset(self) -> None:
        """Nothing: what is raised next says it."""


class _Body(httpx.SyncByteStream):
    """The body of an answer, as far as it comes."""

    def __init__(self, reply: Reply, delivery: Delivery, record: Record) -> None:
        slow = (delivery.trickle_seconds, delivery.freeze_after)
        assert slow == (None, None), "only a real connection shows an answer that comes slowly"
        self._reply, self._delivery, self._record = reply, delivery, record

    def __iter__(self) -> Iterator[bytes]:
        reply, cut_after = self._reply, self._delivery.cut_after
        stop = reply.end if cut_after is None else min(reply.end, reply.start + cut_after)
        for piece in reply.body.read(reply.start, stop):
            self._record["sent_bytes"] += len(piece)
            yield piece
        if stop < reply.end and self._delivery.cut_how == "broken":
            raise httpx.RemoteProtocolError("closed before the end of the body")
        if stop < reply.end and self._delivery.cut_how == "reset":
            raise httpx.ReadError("reset")
