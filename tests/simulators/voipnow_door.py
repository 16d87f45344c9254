"""The VoipNow simulator's Python methods, the same in one process and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .doors import Call, ProviderDoor
from .voipnow_answers import BASE


class VoipnowDoor(ProviderDoor):
    """The VoipNow simulator: Apps, live calls, switches, misbehaviour."""

    def __init__(self, url: str, call: Call) -> None:
        super().__init__(call)
        self.base_url = url + BASE

    def account(
        self, client_id: str | None = None, client_secret: str | None = None, **switches: Any
    ) -> AppDoor:
        """Creates an App or finds it by client_id; what is not given is made up."""
        arguments = {"client_id": client_id, "client_secret": client_secret, **switches}
        return AppDoor(self, self._call, self._call("account", arguments))


class AppDoor:
    """One App of the VoipNow simulator, and its user's calls."""

    def __init__(self, voipnow: VoipnowDoor, call: Call, credentials: Mapping[str, str]) -> None:
        self._voipnow = voipnow
        self._call = call
        self.client_id = credentials["client_id"]
        self.client_secret = credentials["client_secret"]
        self.user_id = credentials["user_id"]

    def _ask(self, method: str, **arguments: Any) -> Any:
        return self._call(method, {"client_id": self.client_id, **arguments})

    def configuration(self) -> dict[str, str]:
        """The account as a section of accounts.toml."""
        return {
            "provider": "voipnow",
            "base_url": self._voipnow.base_url,
            "api_path": "/uapi",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }

    def configure(self, **switches: Any) -> None:
        """Sets switches (voipnow_state.Switches) of this App."""
        self._ask("configure", **switches)

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour that only this App meets."""
        return self._voipnow.fault(operation, kind, account=self.client_id, **more)

    def begin_call(self, **call: Any) -> dict[str, Any]:
        """Begins a call: extension, other (another extension or a number outside), caller,
        incoming and status, each made up if not given. Returns it as the server lists it.
        """
        return dict(self._ask("begin_call", **call))

    def end_call(self, call_id: str) -> None:
        """Both hang up."""
        self._ask("end_call", call_id=call_id)

    def transfer(self, call_id: str, to: str | None = None) -> dict[str, Any]:
        """The call's views go and others come, the first at the extension `to` if given; what was
        recorded of the old ones has ended. Returns it as the server lists it.
        """
        return dict(self._ask("transfer", call_id=call_id, to=to))

    def set_terminal(self, extension: str, *, records: bool) -> None:
        """Whether the extension's Phone Terminal Setup lets *1, and so the API, record. Without
        it a start is answered like any other, and nothing is recorded.
        """
        self._ask("set_terminal", extension=extension, records=records)

    def calls(self) -> list[dict[str, Any]]:
        """The calls going on, as the server lists them."""
        return list(self._ask("calls"))

    def actions(self) -> list[dict[str, Any]]:
        """Every start and stop that reached the server, in order: at, action, user_id, extension,
        call_id, view_id, format, and outcome: started, already, switched_off, stopped,
        not_recording, or the code of the error.
        """
        return list(self._ask("actions"))

    def expire_tokens(self) -> None:
        """Lets every token of the App run out."""
        self._ask("expire_tokens")

    def revoke_tokens(self) -> None:
        """Ends every token of the App before its time."""
        self._ask("revoke_tokens")
