"""The simulators' Python methods, the same in one process and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from .vonage_variants import GLOBAL, INDIA, TOKEN

Call = Callable[[str, dict[str, Any]], Any]


class ProviderDoor:
    """What every provider's simulator offers: its switches, its misbehaviour and its secrets."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def configure(self, **switches: Any) -> None:
        """Sets switches (`Switches` of the provider) of every account and of those to come."""
        self._call("configure", switches)

    def fault(
        self,
        operation: str,
        kind: str,
        *,
        times: int | None = 1,
        skip: int = 0,
        account: str | None = None,
        **parameters: Any,
    ) -> int:
        """Asks for a misbehaviour of one of the provider's OPERATIONS, or of an Ozeki notification
        by its name (faults.py lists kinds and parameters).
        """
        rule = {"times": times, "skip": skip, "account": account, **parameters}
        return int(self._call("fault", {"operation": operation, "kind": kind, **rule}))

    def clear_faults(self, operation: str | None = None) -> None:
        self._call("clear_faults", {"operation": operation})

    def faults(self) -> list[dict[str, Any]]:
        """The misbehaviours still to come."""
        return list(self._call("faults", {}))

    def secrets(self) -> list[str]:
        """Every password, client secret and token there ever was."""
        return list(self._call("secrets", {}))


class VonageDoor(ProviderDoor):
    """The Vonage simulator: accounts, switches, misbehaviour."""

    def __init__(self, url: str, call: Call) -> None:
        super().__init__(call)
        self.base_url = url + INDIA.base
        self.global_base_url = url + GLOBAL.base
        self.token_url = url + TOKEN

    def account(
        self, username: str | None = None, password: str | None = None, **more: Any
    ) -> AccountDoor:
        """Creates an account or finds it by username. `more`: client_id, client_secret,
        login_name, account_id, user_id, `region` ("india" or "global", the API that the account
        is subscribed to) and any switch; what is not given is made up.
        """
        arguments = {"username": username, "password": password, **more}
        return AccountDoor(self, self._call, self._call("account", arguments))

    def accounts(self) -> list[str]:
        """The usernames."""
        return list(self._call("accounts", {}))


class AccountDoor:
    """One account of the Vonage simulator."""

    username: str
    password: str
    client_id: str
    client_secret: str
    login_name: str
    account_id: str

    def __init__(self, vonage: VonageDoor, call: Call, credentials: Mapping[str, str]) -> None:
        self._vonage = vonage
        self._call = call
        for name, value in credentials.items():
            setattr(self, name, value)
        identity = self._ask("identity")
        self.user_id, self.region = identity["user_id"], identity["region"]

    def _ask(self, method: str, **arguments: Any) -> Any:
        return self._call(method, {"username": self.username, **arguments})

    def configuration(self) -> dict[str, str]:
        """The account as a section of accounts.toml."""
        india = self.region == INDIA.region
        return {
            "provider": "vonage",
            "base_url": self._vonage.base_url if india else self._vonage.global_base_url,
            "token_url": self._vonage.token_url,
            "account_id": "self",
            "username": self.username,
            "login_name": self.login_name,
            "password": self.password,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }

    def configure(self, **switches: Any) -> None:
        """Sets switches (vonage_state.Switches) of this account."""
        self._ask("configure", **switches)

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour that only this account meets."""
        return self._vonage.fault(operation, kind, account=self.username, **more)

    def seed(
        self,
        day: date,
        timezone: str,
        count: int,
        size_bytes: int | None = None,
        user_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Adds recordings spread over a local day, its first and last second among them: the
        company's, or on-demand ones of a user ("self" is the account's own). Returns them as the
        provider lists them.
        """
        arguments = {"timezone": timezone, "count": count, "size_bytes": size_bytes}
        arguments["user_id"] = user_id
        return list(self._ask("seed", day=day.isoformat(), **arguments))

    def add(self, recording: Mapping[str, Any]) -> dict[str, Any]:
        """Adds one recording: `start` (datetime or text), `size_bytes`, `user_id` for one on
        demand, fields of the vendor's names; what is not given is made up. Returns it as the
        provider lists it.
        """
        fields = dict(recording)
        if isinstance(fields["start"], datetime):
            fields["start"] = fields["start"].isoformat()
        return dict(self._ask("add", recording=fields))

    def recordings(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """Every recording of the company there is, or every on-demand one of a user, withheld
        ones too.
        """
        return list(self._ask("recordings", user_id=user_id))

    def withhold(self, recording_id: int | str, from_: str = "zip") -> None:
        """Keeps a recording from later exports ("zip"), from audio too ("everywhere": it is
        only listed), or from the listing as well ("list"). An archive that exists is not
        changed.
        """
        self._ask("withhold", recording_id=int(recording_id), from_=from_)

    def release(self, recording_id: int | str) -> None:
        """Gives a withheld recording back."""
        self._ask("release", recording_id=int(recording_id))

    def sha256(self, recording_id: int | str) -> str:
        """The SHA-256 of a recording's audio."""
        return str(self._ask("sha256", recording_id=int(recording_id)))

    def change_password(self, password: str) -> None:
        """Logins need the new password from now on; tokens stay valid."""
        self._ask("change_password", password=password)
        self.password = password

    def issue_token(self) -> str:
        """An access token that lasts, as for accounts.toml's access_token."""
        return str(self._ask("issue_token"))

    def revoke_tokens(self, refresh: bool = True) -> None:
        """Ends every access token, and unless told otherwise the refresh token."""
        self._ask("revoke_tokens", refresh=refresh)

    def expire_tokens(self, refresh: bool = False) -> None:
        """Lets the access token of the last login run out (the refresh token too)."""
        self._ask("expire_tokens", refresh=refresh)

    def jobs(self) -> list[dict[str, Any]]:
        """Export jobs: id, user_id (whose on-demand recordings they hold, None for the company's),
        filters, window, polls, built, expired, recording_ids, bytes, path.
        """
        return list(self._ask("jobs"))

    def restore_job(
        self, job_id: str, recording_ids: list[int], path: str | None = None, etag: str = ""
    ) -> None:
        """Puts an export job of another simulator in place: with its archive at `path` and the
        archive's entity tag, else with one that is built of the recordings.
        """
        arguments = {"job_id": job_id, "recording_ids": recording_ids, "path": path, "etag": etag}
        self._ask("restore_job", **arguments)

    def expire_job(self, job_id: str) -> None:
        """Ends the validity of this job's archive; retrieve answers 410."""
        self._ask("expire_job", job_id=job_id)
