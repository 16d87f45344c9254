"""What tests and people may do to the VoipNow simulator: plain values in, plain values out.

Every public method is also `POST /_simulator/voipnow/<method>` with its arguments as JSON.
"""

from __future__ import annotations

import itertools
import secrets as random_secrets
from typing import Any

from .voipnow import Voipnow
from .voipnow_answers import BASE, shown
from .voipnow_state import Account, PhoneCall

AWKWARD = 'secret"+/&%= '  # in every made-up secret, so that encoding is put to the test
EXTENSION = "0003*210"


class VoipnowControl:
    """Apps, live calls, phone terminals, switches and faults of one VoipNow simulator."""

    def __init__(self, voipnow: Voipnow, url: str) -> None:
        self._voipnow = voipnow
        self._url = url
        self._numbers = itertools.count(12)  # the user of the vendor's example
        self._secrets: set[str] = set()

    def account(
        self, client_id: str | None = None, client_secret: str | None = None, **switches: Any
    ) -> dict[str, str]:
        """Creates an App, or finds the one with this client_id; sets what is given."""
        client_id = client_id or f"~{random_secrets.token_urlsafe(12)}"
        account = self._voipnow.accounts.get(client_id) or self._create(client_id)
        account.client_secret = client_secret or account.client_secret
        account.switches = account.switches.changed(switches)
        self._voipnow.accounts[client_id] = account
        self._secrets.add(account.client_secret)
        return {
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "user_id": account.user_id,
        }

    def _create(self, client_id: str) -> Account:
        secret = AWKWARD + random_secrets.token_hex(12)
        number = str(next(self._numbers))
        return Account(client_id, secret, number, "3", self._voipnow.defaults)

    def configure(self, client_id: str | None = None, **switches: Any) -> None:
        """Sets switches of one App, or of all and of those to come."""
        if client_id is None:
            self._voipnow.defaults = self._voipnow.defaults.changed(switches)
        else:
            self._account(client_id)
        for account in list(self._voipnow.accounts.values()):
            if client_id in (None, account.client_id):
                account.switches = account.switches.changed(switches)

    def begin_call(
        self,
        client_id: str,
        extension: str = EXTENSION,
        other: str = "7778888",
        caller: str = "John Doe <3333>",
        incoming: bool = True,
        status: int = 5,
    ) -> dict[str, Any]:
        """A call between an extension and another or a number outside, as the server lists it."""
        account = self._account(client_id)
        call = account.begin(extension, other, caller, incoming, status)
        return self._shown(call, account)

    def end_call(self, client_id: str, call_id: str) -> None:
        """Both hang up."""
        self._call(client_id, call_id)
        self._account(client_id).calls.pop(call_id)

    def transfer(self, client_id: str, call_id: str, to: str | None = None) -> dict[str, Any]:
        """The call's views go and others come, the first at the extension `to` if given."""
        call = self._call(client_id, call_id)
        with self._account(client_id).lock:
            call.transfer(to)
        return self._shown(call, self._account(client_id))

    def set_terminal(self, client_id: str, extension: str, records: bool) -> None:
        """Whether the extension's Phone Terminal Setup lets *1, and so the API, record."""
        account = self._account(client_id)
        (account.switched_off.discard if records else account.switched_off.add)(extension)

    def calls(self, client_id: str) -> list[dict[str, Any]]:
        """The calls going on."""
        account = self._account(client_id)
        return [self._shown(one, account) for one in list(account.calls.values())]

    def actions(self, client_id: str) -> list[dict[str, Any]]:
        """Every start and stop that was asked for, in order: action, user_id, extension, call_id,
        view_id, format, and outcome: started, already, switched_off, stopped, not_recording, or
        the code of the error.
        """
        return list(self._account(client_id).actions)

    def expire_tokens(self, client_id: str) -> None:
        """Lets every token of the App run out."""
        self._voipnow.tokens.end(self._account(client_id), "expired")

    def revoke_tokens(self, client_id: str) -> None:
        """Ends every token of the App before its time."""
        self._voipnow.tokens.end(self._account(client_id), "revoked")

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour: times=1 (null: always), skip=0, account, and parameters."""
        return self._voipnow.rules.add(operation, kind, **more)

    def clear_faults(self, operation: str | None = None) -> None:
        """Forgets misbehaviours that are still to come."""
        self._voipnow.rules.clear(operation)

    def faults(self) -> list[dict[str, Any]]:
        """The misbehaviours still to come."""
        return self._voipnow.rules.pending()

    def secrets(self) -> list[str]:
        """Every client secret and token there ever was."""
        return sorted({*self._secrets, *self._voipnow.tokens.values()})

    def addresses(self) -> dict[str, str]:
        """What accounts.toml calls base_url and api_path."""
        return {"base_url": self._url + BASE, "api_path": "/uapi"}

    def _shown(self, call: PhoneCall, account: Account) -> dict[str, Any]:
        return shown(call, account, self._url)

    def _account(self, client_id: str) -> Account:
        if client_id not in self._voipnow.accounts:
            raise ValueError(f"no App {client_id!r}; there are {sorted(self._voipnow.accounts)}")
        return self._voipnow.accounts[client_id]

    def _call(self, client_id: str, call_id: str) -> PhoneCall:
        if call_id not in self._account(client_id).calls:
            raise ValueError(f"{client_id} has no call {call_id}")
        return self._account(client_id).calls[call_id]
