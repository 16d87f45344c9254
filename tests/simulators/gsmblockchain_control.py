"""What tests and people may do to the gsmblockchain simulator: plain values in and out.

Every public method is also `POST /_simulator/gsmblockchain/<method>` with its arguments as JSON.
"""

from __future__ import annotations

import itertools
import secrets as random_secrets
from typing import Any

from .gsmblockchain import BASE, Gsmblockchain
from .gsmblockchain_state import Account

AWKWARD = 'contraseña"+/&%= '  # in every made-up password, so that encoding is put to the test


class GsmblockchainControl:
    """Accounts, counted calls, switches and faults of one gsmblockchain simulator."""

    def __init__(self, gsmblockchain: Gsmblockchain, url: str) -> None:
        self._gsmblockchain = gsmblockchain
        self._url = url
        self._numbers = itertools.count()
        self._passwords: set[str] = set()

    def account(
        self, username: str | None = None, password: str | None = None, **switches: Any
    ) -> dict[str, Any]:
        """Creates an account, or finds the one with this username; sets what is given."""
        username = username or f"panel_user_{next(self._numbers)}"
        account = self._gsmblockchain.accounts.get(username) or self._create(username)
        account.password = password or account.password
        account.switches = account.switches.changed(switches)
        self._gsmblockchain.accounts[username] = account
        self._passwords.add(account.password)
        return {"username": account.username, "password": account.password}

    def _create(self, username: str) -> Account:
        password = AWKWARD + random_secrets.token_hex(12)
        return Account(username, password, self._gsmblockchain.defaults)

    def calls(self, username: str | None = None) -> list[dict[str, Any]]:
        """Every call counted so far, or one user's."""
        return self._gsmblockchain.calls.counted(username)

    def configure(self, username: str | None = None, **switches: Any) -> None:
        """Sets switches of one account, or of all and of those to come."""
        accounts = self._gsmblockchain.accounts
        if username is None:
            defaults = self._gsmblockchain.defaults
            self._gsmblockchain.defaults = defaults.changed(switches)
        elif username not in accounts:
            raise ValueError(f"no account {username!r}; there are {sorted(accounts)}")
        for account in list(accounts.values()):
            if username in (None, account.username):
                account.switches = account.switches.changed(switches)

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour: times=1 (null: always), skip=0, account, and parameters."""
        return self._gsmblockchain.rules.add(operation, kind, **more)

    def clear_faults(self, operation: str | None = None) -> None:
        """Forgets misbehaviours that are still to come."""
        self._gsmblockchain.rules.clear(operation)

    def faults(self) -> list[dict[str, Any]]:
        """The misbehaviours still to come."""
        return self._gsmblockchain.rules.pending()

    def secrets(self) -> list[str]:
        """Every password there ever was."""
        return sorted(self._passwords)

    def addresses(self) -> dict[str, str]:
        """What accounts.toml calls base_url."""
        return {"base_url": self._url + BASE}
