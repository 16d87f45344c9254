"""The Ozeki simulator's Python methods, the same in one process and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .doors import Call, ProviderDoor


class OzekiDoor(ProviderDoor):
    """The Ozeki simulator: servers, switches, misbehaviour."""

    def account(self, name: str | None = None, **more: Any) -> PbxDoor:
        """Creates a server or finds it by name. `more`: username, password and any switch; what is
        not given is made up.
        """
        return PbxDoor(self, self._call, self._call("account", {"name": name, **more}))

    def accounts(self) -> list[str]:
        """The servers' names."""
        return list(self._call("accounts", {}))


class PbxDoor:
    """One server of the Ozeki simulator."""

    name: str
    base_url: str
    username: str
    password: str

    def __init__(self, ozeki: OzekiDoor, call: Call, credentials: Mapping[str, str]) -> None:
        self._ozeki = ozeki
        self._call = call
        for name, value in credentials.items():
            setattr(self, name, value)

    def _ask(self, method: str, **arguments: Any) -> Any:
        return self._call(method, {"name": self.name, **arguments})

    def configuration(self) -> dict[str, Any]:
        """The account as a section of accounts.toml, but for `control`, which is "http" there."""
        return {
            "provider": "ozeki",
            "base_url": self.base_url,
            "username": self.username,
            "password": self.password,
            "allowed_networks": ["127.0.0.0/8"],
        }

    def configure(self, **switches: Any) -> None:
        """Sets switches (ozeki_state.Switches) of this server."""
        self._ask("configure", **switches)

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour that only this server's clients and receivers meet."""
        return self._ozeki.fault(operation, kind, account=self.name, **more)

    def call(self, state: str = "InCall", **told: Any) -> str:
        """Begins a call and returns its id; `told`: call_id, source, destination, caller,
        started_at (ISO 8601). This and what follows returns when the notifications that it leads
        to are answered and the answers carried out.
        """
        return str(self._ask("call", state=state, **told)["call_id"])

    def change(self, call_id: str, state: str) -> None:
        """A call goes over to another of the vendor's states."""
        self._ask("change", call_id=call_id, state=state)

    def end(self, call_id: str) -> None:
        """A call ends, and with it its recordings."""
        self.change(call_id, "Completed")

    def press(self, call_id: str, digits: str) -> None:
        """Keys are pressed in a call."""
        self._ask("press", call_id=call_id, digits=digits)

    def advance(self, call_id: str, seconds: int, *, silent: bool = False) -> None:
        """Seconds of a call pass, with voices or without: no other time passes here."""
        self._ask("advance", call_id=call_id, seconds=seconds, silent=silent)

    def calls(self) -> list[dict[str, Any]]:
        """Every call there ever was: call_id, state, source, destination, caller, seconds,
        started_at.
        """
        return list(self._ask("calls"))

    def recordings(self) -> list[dict[str, Any]]:
        """Every recording: number, call_id, format, finished_url, via, ended, file_name, bytes,
        sha256.
        """
        return list(self._ask("recordings"))
