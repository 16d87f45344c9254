"""What the contract of providers does at each one's simulator, in the same words for all.

A further provider in `tests/<name>_provider.py` brings its own in `tests/<name>_server.py`, as the
class `playground`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Protocol

from .simulators import Simulators


class Playground(Protocol):
    """One account's side at its simulator."""

    def configuration(self) -> Mapping[str, Any]:
        """The account as a section of accounts.toml."""


class Listing(Playground, Protocol):
    """Of a provider that lists recordings."""

    def seed(self, day: date, zone: str, count: int) -> list[str]:
        """Recordings of a local day; their ids."""

    def add(self, began: datetime) -> str:
        """One more recording; its id."""

    def withhold(self, recording_id: str) -> None:
        """The recording is listed, and its audio is not given away."""

    def release(self, recording_id: str) -> None:
        """Its audio is given away again."""

    def sha256(self, recording_id: str) -> str:
        """Of its audio."""


class Calling(Playground, Protocol):
    """Of a provider with live calls."""

    def begin(self) -> str:
        """A call begins; its id."""

    def end(self, call_id: str) -> None:
        """It ends."""


class VonagePlayground:
    """An account of the simulated Vonage."""

    def __init__(self, simulators: Simulators) -> None:
        self._door = simulators.vonage.account(ready_after_polls=0)

    def configuration(self) -> Mapping[str, Any]:
        return self._door.configuration()

    def seed(self, day: date, zone: str, count: int) -> list[str]:
        return [str(one["id"]) for one in self._door.seed(day, zone, count)]

    def add(self, began: datetime) -> str:
        return str(self._door.add({"start": began})["id"])

    def withhold(self, recording_id: str) -> None:
        self._door.withhold(recording_id, "everywhere")

    def release(self, recording_id: str) -> None:
        self._door.release(recording_id)

    def sha256(self, recording_id: str) -> str:
        return self._door.sha256(recording_id)


class VoipnowPlayground:
    """An App on the simulated VoipNow server."""

    def __init__(self, simulators: Simulators) -> None:
        self._door = simulators.voipnow.account()

    def configuration(self) -> Mapping[str, Any]:
        return self._door.configuration()

    def begin(self) -> str:
        return str(self._door.begin_call()["id"])

    def end(self, call_id: str) -> None:
        self._door.end_call(call_id)


class OzekiPlayground:
    """A simulated Ozeki server."""

    def __init__(self, simulators: Simulators) -> None:
        self._door = simulators.ozeki.account()

    def configuration(self) -> Mapping[str, Any]:
        return self._door.configuration()

    def begin(self) -> str:
        return self._door.call()

    def end(self, call_id: str) -> None:
        self._door.end(call_id)


class GsmblockchainPlayground:
    """An account at the simulated gsmblockchain."""

    def __init__(self, simulators: Simulators) -> None:
        self._door = simulators.gsmblockchain.account()

    def configuration(self) -> Mapping[str, Any]:
        return self._door.configuration()


PLAYGROUNDS = {
    "gsmblockchain": GsmblockchainPlayground,
    "voipnow": VoipnowPlayground,
    "ozeki": OzekiPlayground,
    "vonage": VonagePlayground,
}
