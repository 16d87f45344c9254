"""``accounts check``: whether credentials work, without touching what the workers share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from config.accounts import Account
from config.settings import Settings
from providers import registry
from providers.errors import ProviderError
from providers.http.deadline import Transport
from providers.http.tokens import PrivateTokenStore
from providers.interface import ExportsInBulk, Probes
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

    It logs in anew and keeps the token to itself. With --record a provider that exports in
    bulk makes one export of the last day that has recordings; only the beginning of its ZIP is
    read.

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
    if target and registry.has(account, ExportsInBulk):
        return _exported(account, settings, target / account.alias)
    try:
        with registry.client(account, Probes, PrivateTokenStore()) as client:
            about = client.probe()
    except ProviderError as error:
        return Tried(account.alias, account.provider, "failed", str(error))
    tries_credentials = registry.client_class(account, Probes).tries_credentials
    return Tried(account.alias, account.provider, "ok" if tries_credentials else "not tried", about)


def _exported(account: Account, settings: Settings, folder: Path) -> Tried:
    """The same, with one export; every request and answer is kept in the folder."""
    wire = Recorder(Transport(verify=account.verify_tls), folder, settings.secret_values())
    try:
        with registry.client(account, ExportsInBulk, PrivateTokenStore(), transport=wire) as client:
            about = client.probe()
            exported = try_export(account, client, settings)
    except ProviderError as error:
        about = f"{error}; samples in {folder}"
        return Tried(account.alias, account.provider, "failed", about)
    about = f"{about}; {exported}; samples in {folder}"
    return Tried(account.alias, account.provider, "ok", about)
