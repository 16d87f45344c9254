"""The gsmblockchain simulator's Python methods, the same in one process and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .doors import Call, ProviderDoor
from .gsmblockchain import BASE


class GsmblockchainDoor(ProviderDoor):
    """The gsmblockchain simulator: accounts, counted calls, switches, misbehaviour."""

    def __init__(self, url: str, call: Call) -> None:
        super().__init__(call)
        self.base_url = url + BASE

    def account(
        self, username: str | None = None, password: str | None = None, **switches: Any
    ) -> CallingAccountDoor:
        """Creates an account or finds it by username; what is not given is made up."""
        arguments = {"username": username, "password": password, **switches}
        return CallingAccountDoor(self, self._call("account", arguments))

    def calls(self, username: str | None = None) -> list[dict[str, Any]]:
        """Every call counted so far, or one user's, in order: n, at (epoch seconds), username,
        country, phone, max_seconds, company_name, company_id, platform_phone.
        """
        return list(self._call("calls", {"username": username}))


class CallingAccountDoor:
    """One account of the gsmblockchain simulator."""

    def __init__(self, gsmblockchain: GsmblockchainDoor, credentials: Mapping[str, str]) -> None:
        self._gsmblockchain = gsmblockchain
        self.username = credentials["username"]
        self.password = credentials["password"]

    def configuration(self) -> dict[str, Any]:
        """The account as a section of accounts.toml."""
        return {
            "provider": "gsmblockchain",
            "base_url": self._gsmblockchain.base_url,
            "username": self.username,
            "password": self.password,
            "timezone": "Europe/Madrid",
            "max_calls_per_day": 100,
            "countries": ["ES", "FR", "PT"],
            "max_seconds_per_call": 900,
        }

    def configure(self, **switches: Any) -> None:
        """Sets switches (gsmblockchain_state.Switches) of this account."""
        self._gsmblockchain.configure(username=self.username, **switches)

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour that only this account meets."""
        return self._gsmblockchain.fault(operation, kind, account=self.username, **more)

    def calls(self) -> list[dict[str, Any]]:
        """Every call of this account counted so far."""
        return self._gsmblockchain.calls(self.username)
