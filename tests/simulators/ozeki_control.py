"""What tests and people may do to the Ozeki simulator: plain values in, plain values out.

Every public method is also `POST /_simulator/ozeki/<method>` with its arguments as JSON.
"""

from __future__ import annotations

import itertools
import secrets as random_secrets
from datetime import datetime
from functools import partial
from typing import Any

from .ozeki import BASE, Ozeki
from .ozeki_pbx import Pbx

AWKWARD = 'jelszó"+/&%= '  # in every made-up password, so that encoding is put to the test


class OzekiControl:
    """Servers, live calls, recordings, switches and faults of one Ozeki simulator."""

    def __init__(self, ozeki: Ozeki, url: str) -> None:
        self._ozeki = ozeki
        self._url = url
        self._counted = itertools.count()
        self._passwords: set[str] = set()

    def account(self, name: str | None = None, **more: Any) -> dict[str, Any]:
        """Creates a server, or finds the one with this name; sets what is given."""
        name = name or f"office{next(self._counted)}"
        pbx = self._ozeki.pbxs.get(name) or self._create(name)
        pbx.username = more.pop("username", None) or pbx.username
        pbx.password = more.pop("password", None) or pbx.password
        pbx.switches = pbx.switches.changed(more)
        self._ozeki.pbxs[name] = pbx
        self._passwords.add(pbx.password)
        return {
            "name": name,
            "base_url": pbx.origin,
            "username": pbx.username,
            "password": pbx.password,
        }

    def _create(self, name: str) -> Pbx:
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no name; letters, digits and underscores make one")
        pbx = Pbx(
            name,
            ("user1000", AWKWARD + random_secrets.token_hex(12)),
            self._ozeki.defaults,
            self._ozeki.numbers,
            partial(self._ozeki.note, name),
        )
        pbx.origin = f"{self._url}{BASE}/{name}"
        return pbx

    def accounts(self) -> list[str]:
        """The servers' names."""
        return sorted(self._ozeki.pbxs)

    def configure(self, name: str | None = None, **switches: Any) -> None:
        """Sets switches of one server, or of all and of those to come."""
        if name is None:
            self._ozeki.defaults = self._ozeki.defaults.changed(switches)
        for pbx in [self._pbx(name)] if name else list(self._ozeki.pbxs.values()):
            pbx.switches = pbx.switches.changed(switches)

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour: times=1 (null: always), skip=0, account, and parameters."""
        return self._ozeki.rules.add(operation, kind, **more)

    def clear_faults(self, operation: str | None = None) -> None:
        """Forgets misbehaviours that are still to come."""
        self._ozeki.rules.clear(operation)

    def faults(self) -> list[dict[str, Any]]:
        """The misbehaviours still to come."""
        return self._ozeki.rules.pending()

    def secrets(self) -> list[str]:
        """Every password there ever was."""
        return sorted(self._passwords)

    def call(self, name: str, state: str = "InCall", **told: Any) -> dict[str, Any]:
        """Begins a call: call_id, source, destination, caller, started_at; the rest is made up."""
        pbx = self._pbx(name)
        if "started_at" in told:
            told["started_at"] = datetime.fromisoformat(told["started_at"])
        call = pbx.begin(state, **told)
        self._ozeki.notifier.deliver(pbx)
        return call.facts()

    def calls(self, name: str) -> list[dict[str, Any]]:
        """Every call there ever was."""
        return [call.facts() for call in list(self._pbx(name).calls.values())]

    def change(self, name: str, call_id: str, state: str) -> None:
        """A call goes over to another state, such as Completed, which ends it."""
        pbx = self._pbx(name)
        pbx.change(call_id, state)
        self._ozeki.notifier.deliver(pbx)

    def press(self, name: str, call_id: str, digits: str) -> None:
        """Keys are pressed in a call."""
        pbx = self._pbx(name)
        pbx.press(call_id, digits)
        self._ozeki.notifier.deliver(pbx)

    def advance(self, name: str, call_id: str, seconds: int, silent: bool = False) -> None:
        """Seconds of a call pass, with voices or without."""
        pbx = self._pbx(name)
        pbx.advance(call_id, seconds, silent=silent)
        self._ozeki.notifier.deliver(pbx)

    def recordings(self, name: str) -> list[dict[str, Any]]:
        """Every recording: number, call_id, format, finished_url, via, ended, file_name, bytes,
        sha256.
        """
        return [recording.facts() for recording in list(self._pbx(name).recordings)]

    def addresses(self) -> dict[str, str]:
        """What accounts.toml calls base_url, but for the server's name behind it."""
        return {"base_url": self._url + BASE}

    def _pbx(self, name: str) -> Pbx:
        if name not in self._ozeki.pbxs:
            raise ValueError(f"no server {name!r}; there are {self.accounts()}")
        return self._ozeki.pbxs[name]
