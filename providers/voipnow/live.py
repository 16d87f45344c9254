"""What an account on a VoipNow server can do, in the words of `providers.interface`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from providers.arguments import refuse_ignored
from providers.http.tokens import TokenStore
from providers.interface import StopsRecordings
from providers.live_calls import LiveCall, LiveRecording

from . import fields
from .account import VoipnowAccount
from .client import Voipnow
from .recording import Recorder

_STOP = ("call_id", "view_id", "extension", "user_id")
_START = (*_STOP, "format")
#: What every provider tells of a call; the rest is VoipNow's alone.
_COMMON = ("call_id", "state", "source", "destination", "caller", "started_at", "views")


class LiveVoipnow(StopsRecordings):
    """One account's client; a context manager, used by one thread. Parameters as for `Voipnow`."""

    not_collected_because = "VoipNow offers no way to fetch a file"

    def __init__(
        self,
        account: VoipnowAccount,
        token_store: TokenStore | None = None,
        /,
        *,
        transport: httpx.BaseTransport | None = None,
        before_call: Callable[[], None] | None = None,
    ) -> None:
        if token_store is None:
            raise TypeError("a VoipNow account logs in: give a token_store")
        self._server = Voipnow(account, token_store, transport=transport, before_call=before_call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._server.close()

    @property
    def provider_time(self) -> datetime | None:
        """The server's own time in UTC, from the Date of the newest answer."""
        return self._server.provider_time

    def probe(self) -> str:
        """List the calls that are going on; how many there are."""
        found = len(self.calls())
        return f"{found} call{'s' * (found != 1)} going on"

    def calls(self, user_id: str | None = None, extension: str | None = None) -> list[LiveCall]:
        """The calls of the user and the extension, the account's own where they are None."""
        return [_call(one) for one in self._server.calls(user_id or "@me", extension or "@self")]

    @staticmethod
    def start_parameters(account: VoipnowAccount, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a start, defaults filled in. Raises WrongField."""
        refuse_ignored(account, asked, _START)
        return _checked({**_view(asked), "format": asked.get("format") or "wav"})

    @staticmethod
    def stop_parameters(account: VoipnowAccount, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a stop, defaults filled in. Raises WrongField."""
        refuse_ignored(account, asked, _STOP)
        return _checked(_view(asked))

    def start_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """Record a view of a call until the answer or the list of calls shows that it runs
        (`Recorder`).
        """
        return self._recorder(before_action, looks_first).start(**parameters)

    def stop_recording(
        self,
        parameters: Mapping[str, Any],
        *,
        before_action: Callable[[], None] | None = None,
        looks_first: bool = False,
    ) -> LiveRecording:
        """End the recording of a view of a call until it is shown to have ended (`Recorder`)."""
        return self._recorder(before_action, looks_first).stop(**parameters)

    def _recorder(self, before_action: Callable[[], None] | None, looks_first: bool) -> Recorder:
        return Recorder(self._server, before_action=before_action, looks_first=looks_first)


def _call(found: Mapping[str, Any]) -> LiveCall:
    common = {name: found[name] for name in _COMMON}
    return LiveCall(**common, more={key: found[key] for key in found if key not in common})


def _view(asked: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "call_id": asked["call_id"],
        "extension": asked.get("extension") or "@self",
        "user_id": asked.get("user_id") or "@me",
    }
    return {**found, "view_id": asked["view_id"]} if "view_id" in asked else found


def _checked(parameters: dict[str, Any]) -> dict[str, Any]:
    fields.check(**parameters)
    return parameters
