"""What tests and people may do to the Vonage simulator: plain values in, plain values out.

Every public method is also `POST /_simulator/vonage/<method>` with its arguments as JSON.
"""

from __future__ import annotations

import itertools
import secrets as random_secrets
from datetime import date
from pathlib import Path
from typing import Any

from .audio import Audio
from .exports import Archive
from .vonage import Vonage
from .vonage_answers import shown
from .vonage_jobs import Job
from .vonage_recordings import Recording
from .vonage_state import Account, Switches
from .vonage_variants import INDIA, TOKEN, VARIANTS, Variant

CREDENTIALS = (
    "username",
    "password",
    "client_id",
    "client_secret",
    "login_name",
    "account_id",
)
IDENTITY = ("user_id", "region")
FIRST_ACCOUNT = 549825
FIRST_USER = 745249
AWKWARD = '"+/&%= '  # in every made-up secret, so that escaping is put to the test


class VonageControl:
    """Accounts, recordings, switches and faults of one Vonage simulator."""

    def __init__(self, vonage: Vonage, url: str) -> None:
        self._vonage = vonage
        self._url = url
        self._numbers = itertools.count()
        self._credentials: set[str] = set()

    def account(self, username: str | None = None, **more: Any) -> dict[str, Any]:
        """Creates an account, or finds the one with this username; sets what is given. `region`
        is the API that it is subscribed to: "india", if nothing is said, or "global". Returns its
        credentials, which with `addresses` make a section of accounts.toml.
        """
        if more.get("region") is not None:
            _variant(more["region"])
        number = next(self._numbers)
        username = username or f"api_user_{number}@vbc.prod"
        account = self._vonage.accounts.get(username) or self._create(username, number)
        for name in (*CREDENTIALS[1:], *IDENTITY):
            if more.get(name) is not None:
                setattr(account, name, more[name])
            more.pop(name, None)
        account.switches.change(more)
        self._vonage.accounts[username] = account
        self._credentials |= {account.password, account.client_secret}
        return {name: getattr(account, name) for name in CREDENTIALS}

    def _create(self, username: str, number: int) -> Account:
        switches = Switches(**vars(self._vonage.defaults))
        return Account(
            username=username,
            password=_awkward("password"),
            client_id=f"client{number}{random_secrets.token_hex(8)}",
            client_secret=_awkward("secret"),
            login_name=username.partition("@")[0],
            account_id=str(FIRST_ACCOUNT + number),
            user_id=str(FIRST_USER + number),
            region=INDIA.region,
            switches=switches,
        )

    def identity(self, username: str) -> dict[str, str]:
        """The id of the account's own user, and the region of the account's API."""
        account = self._account(username)
        return {name: getattr(account, name) for name in IDENTITY}

    def accounts(self) -> list[str]:
        """The usernames."""
        return sorted(self._vonage.accounts)

    def configure(self, username: str | None = None, **switches: Any) -> None:
        """Sets switches of one account, or of all and of those to come."""
        if username is not None:
            self._account(username).switches.change(switches)
            return
        for target in (self._vonage.defaults, *self._switches()):
            target.change(switches)

    def _switches(self) -> list[Switches]:
        return [account.switches for account in self._vonage.accounts.values()]

    def fault(self, operation: str, kind: str, **more: Any) -> int:
        """Asks for a misbehaviour: times=1 (null: always), skip=0, account, and parameters."""
        return self._vonage.rules.add(operation, kind, **more)

    def clear_faults(self, operation: str | None = None) -> None:
        """Forgets misbehaviours that are still to come."""
        self._vonage.rules.clear(operation)

    def faults(self) -> list[dict[str, Any]]:
        """The misbehaviours still to come."""
        return self._vonage.rules.pending()

    def secrets(self) -> list[str]:
        """Every password, client secret and token there ever was."""
        return sorted({*self._credentials, *self._vonage.tokens.values()})

    def seed(
        self,
        username: str,
        day: str,
        timezone: str,
        count: int,
        size_bytes: int | None = None,
        user_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Adds recordings spread over a local day, the company's or on-demand ones of a user."""
        account = self._account(username)
        fields = {"size_bytes": size_bytes, "user_id": user_id}
        made = account.seed(date.fromisoformat(day), timezone, count, fields)
        return [self._shown(recording, account) for recording in made]

    def add(self, username: str, recording: dict[str, Any]) -> dict[str, Any]:
        """Adds one recording: `start`, `size_bytes`, `user_id` and the vendor's fields, the rest
        made up.
        """
        account = self._account(username)
        return self._shown(account.add(recording), account)

    def recordings(self, username: str, user_id: str | None = None) -> list[dict[str, Any]]:
        """Every recording of the company or of a user there is, withheld ones too."""
        account = self._account(username)
        owner = user_id and account.user(user_id)
        if user_id is not None and owner is None:
            raise ValueError(f"{username} has no user {user_id}")
        found = [r for r in list(account.recordings.values()) if r.user_id == owner]
        return [self._shown(r, account) for r in found]

    def _shown(self, recording: Recording, account: Account) -> dict[str, Any]:
        return shown(recording, account, self._url)

    def withhold(self, username: str, recording_id: int, from_: str = "zip") -> None:
        """Keeps a recording from later exports ("zip"), from audio too ("everywhere"), or from
        the listing as well ("list").
        """
        self._recording(username, recording_id)
        self._account(username).withhold(recording_id, from_)

    def release(self, username: str, recording_id: int) -> None:
        """Gives a withheld recording back."""
        self._recording(username, recording_id)
        self._account(username).withhold(recording_id, None)

    def sha256(self, username: str, recording_id: int) -> str:
        """The SHA-256 of a recording's audio."""
        return self._recording(username, recording_id).sha256()

    def change_password(self, username: str, password: str) -> None:
        """Logins need the new password from now on; tokens stay valid."""
        self._account(username).password = password
        self._credentials.add(password)

    def issue_token(self, username: str) -> str:
        """An access token that lasts, as for accounts.toml's access_token."""
        return self._vonage.tokens.issue(self._account(username))

    def revoke_tokens(self, username: str, refresh: bool = True) -> None:
        """Ends every access token, and unless told otherwise the refresh token."""
        account = self._account(username)
        self._vonage.tokens.end(account, "revoked", refresh)
        self._vonage.tokens.revoke_issued(account)

    def expire_tokens(self, username: str, refresh: bool = False) -> None:
        """Lets the access token of the last login run out (the refresh token too)."""
        self._vonage.tokens.end(self._account(username), "expired", refresh)

    def jobs(self, username: str) -> list[dict[str, Any]]:
        """Export jobs: id, user_id (whose on-demand recordings they hold, null for the company's),
        filters, window, polls, built, expired, recording_ids, bytes, path.
        """
        return [job.facts() for job in list(self._account(username).jobs.values())]

    def restore_job(
        self,
        username: str,
        job_id: str,
        recording_ids: list[int],
        path: str | None = None,
        etag: str = "",
    ) -> None:
        """Puts an export job of another simulator in place: with its archive and the archive's
        entity tag, else with one that is built of the recordings.
        """
        archive = None if path is None else Archive(Path(path), Path(path).stat().st_size, etag)
        self._account(username).restore_job(job_id, recording_ids, archive, self._vonage.folder)

    def expire_job(self, username: str, job_id: str) -> None:
        """Ends the validity of this job's archive; retrieve answers 410."""
        self._job(username, job_id).expire()

    def addresses(self, region: str = INDIA.region) -> dict[str, str]:
        """What accounts.toml calls base_url and token_url, of the API of this region."""
        return {"base_url": self._url + _variant(region).base, "token_url": self._url + TOKEN}

    def _account(self, username: str) -> Account:
        if username not in self._vonage.accounts:
            raise ValueError(f"no account {username!r}; there are {self.accounts()}")
        return self._vonage.accounts[username]

    def _recording(self, username: str, recording_id: int) -> Audio:
        if recording_id not in self._account(username).recordings:
            raise ValueError(f"{username} has no recording {recording_id}")
        return self._account(username).recordings[recording_id].audio

    def _job(self, username: str, job_id: str) -> Job:
        if job_id not in self._account(username).jobs:
            raise ValueError(f"{username} has no export job {job_id}")
        return self._account(username).jobs[job_id]


def _variant(region: str) -> Variant:
    if region not in VARIANTS:
        raise ValueError(f"region is one of {sorted(VARIANTS)}, not {region!r}")
    return VARIANTS[region]


def _awkward(what: str) -> str:
    return f"{what}{AWKWARD}{random_secrets.token_hex(12)}"
