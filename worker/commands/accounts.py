"""``accounts check``: whether credentials work, without touching what the workers share."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from config.accounts import (
    Account,
    GsmblockchainAccount,
    OzekiAccount,
    VoipnowAccount,
    VonageAccount,
)
from config.settings import Settings
from providers.errors import ProviderError
from providers.gsmblockchain.client import Gsmblockchain
from providers.http.deadline import Transport
from providers.ozeki.client import Ozeki
from providers.voipnow.client import Voipnow
from providers.vonage.client import Vonage
from tasks.runtime.context import account as account_of

from .cassettes import Recorder
from .deployment import configured
from .display import print_json, print_table
from .options import as_json
from .trial_export import try_export


@click.group()
def accounts() -> None:
    """Try the accounts at their providers."""


@dataclass(frozen=True)
class Tried:
    """What came of trying an account."""

    account: str
    provider: str
    outcome: Literal["ok", "failed", "not tried"]
    about: str


@accounts.command()
@click.argument("alias", required=False)
@click.option(
    "--record",
    "target",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Run one small export too, and keep every request and answer there, masked.",
)
@as_json
def check(alias: str | None, target: Path | None, as_json: bool) -> int:
    """Log in and list one page of recordings, or the calls that are going on, for one account or
    for all.

    It logs in anew and keeps the token to itself. With --record Vonage makes one export of the
    last day that has recordings; only the beginning of its ZIP is read.

    Of an account for certified calls only the connection is tried: each request of its provider
    is a call that costs money.
    """
    settings = configured()
    chosen = [account_of(alias)] if alias else list(settings.accounts.values())
    tried = [_tried(account, settings, target) for account in chosen]
    if as_json:
        print_json([asdict(one) for one in tried])
    else:
        rows = [(one.account, one.provider, one.outcome, one.about) for one in tried]
        print_table(("account", "provider", "outcome", "about"), rows)
    return int(any(one.outcome == "failed" for one in tried))


def _tried(account: Account, settings: Settings, target: Path | None) -> Tried:
    if isinstance(account, GsmblockchainAccount):
        return _connected(account)
    if isinstance(account, VonageAccount):
        return _exporting(account, settings, target)
    try:
        live = _live_calls(account)
    except ProviderError as error:
        return Tried(account.alias, account.provider, "failed", str(error))
    about = f"{live} call{'s' * (live != 1)} going on"
    return Tried(account.alias, account.provider, "ok", about)


def _live_calls(account: VoipnowAccount | OzekiAccount) -> int:
    """How many calls are going on. Raises what the client raises."""
    if isinstance(account, VoipnowAccount):
        with Voipnow(account, Pocket()) as voipnow:
            return len(voipnow.calls())
    with Ozeki(account) as ozeki:
        return len(ozeki.active_calls())


def _exporting(account: VonageAccount, settings: Settings, target: Path | None) -> Tried:
    transport = Transport(verify=account.verify_tls)
    folder = target / account.alias if target else None
    recorder = Recorder(transport, folder, settings.secret_values()) if folder else transport
    try:
        with Vonage(account, Pocket(), transport=recorder) as vonage:
            listed = vonage.recordings({}, page=1, page_size=10)
            about = _listed(listed)
            if folder:
                exported = try_export(account, vonage, listed["recordings"], settings)
                about = f"{about}; {exported}; samples in {folder}"
    except ProviderError as error:
        kept = f"; samples in {folder}" if folder else ""
        return Tried(account.alias, account.provider, "failed", f"{error}{kept}")
    return Tried(account.alias, account.provider, "ok", about)


def _connected(account: GsmblockchainAccount) -> Tried:
    """Nothing tells whether user and password are right but a call that is paid."""
    untried = "user and password are not tried, since each request is a call that costs money"
    try:
        Gsmblockchain(account).connect()
    except ProviderError as error:
        return Tried(account.alias, account.provider, "failed", f"{error}; {untried}")
    how = "a TLS connection" if account.base_url.startswith("https:") else "a connection, no TLS,"
    return Tried(account.alias, account.provider, "not tried", f"{how} can be opened; {untried}")


def _listed(page: dict[str, object]) -> str:
    total = page.get("total_items")
    if total is not None:
        return f"{total} recordings are listed"
    recordings = page["recordings"]
    assert isinstance(recordings, list)
    return f"{len(recordings)} recordings on the first page"


@dataclass(frozen=True)
class _Sealed:
    version: int
    ciphertext: bytes
    read_at: float


class Pocket:
    """A shelf for one token that nobody else reads (providers.http.tokens.Shelf)."""

    def __init__(self) -> None:
        self._kept: _Sealed | None = None

    def read(self) -> _Sealed | None:
        """The token, or None."""
        return self._kept

    def time(self) -> float:
        """The clock of this process: nobody else reads what is kept."""
        return time.time()

    def claim(self, version: int, seconds: float) -> str | None:  # noqa: ARG002 - nobody else renews
        """The right to renew, if the version is still this one."""
        held = self._kept.version if self._kept else 0
        return str(uuid.uuid4()) if version == held else None

    def put(self, claim: str, ciphertext: bytes) -> bool:  # noqa: ARG002 - nobody else renews
        """Keep a renewed token."""
        version = self._kept.version if self._kept else 0
        self._kept = _Sealed(version + 1, ciphertext, self.time())
        return True

    def release(self, claim: str) -> None:
        """Nothing is held."""
