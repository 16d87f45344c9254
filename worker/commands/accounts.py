"""``accounts check``: try credentials without touching the tokens that workers share."""

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
    """Test the accounts at their providers."""


@dataclass(frozen=True)
class Trial:
    """The result of trying an account."""

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
    help="Also run one small export, and save every request and answer there, masked.",
)
@as_json
def check(alias: str | None, target: Path | None, as_json: bool) -> int:
    """Log in and list one page of recordings, or the live calls, for one account or all.

    The check logs in with a token of its own and does not store it. With --record, an account with
    bulk exports makes one export of the last day with recordings, of which only the start of the
    ZIP is read.

    For an account for certified calls, only the connection is tried, because each request to its
    provider is a paid call.
    """
    settings = configured()
    chosen = [account_of(alias)] if alias else list(settings.accounts.values())
    tried = [_try_account(account, settings, target) for account in chosen]
    if as_json:
        print_json([asdict(one) for one in tried])
    else:
        rows = [(one.account, one.provider, one.outcome, one.about) for one in tried]
        print_table(("account", "provider", "outcome", "about"), rows)
    return int(any(one.outcome == "failed" for one in tried))


def _try_account(account: Account, settings: Settings, target: Path | None) -> Trial:
    if target and registry.has(account, ExportsInBulk):
        return _try_with_export(account, settings, target / account.alias)
    try:
        with registry.client(account, Probes, PrivateTokenStore()) as client:
            about = client.probe()
    except ProviderError as error:
        return Trial(account.alias, account.provider, "failed", str(error))
    tries_credentials = registry.client_class(account, Probes).tries_credentials
    return Trial(account.alias, account.provider, "ok" if tries_credentials else "not tried", about)


def _try_with_export(account: Account, settings: Settings, folder: Path) -> Trial:
    """Try an account with one export; keep every request and answer in the folder."""
    recorder = Recorder(Transport(verify=account.verify_tls), folder, settings.secret_values())
    try:
        with registry.client(
            account, ExportsInBulk, PrivateTokenStore(), transport=recorder
        ) as client:
            about = client.probe()
            exported = try_export(account, client, settings)
    except ProviderError as error:
        about = f"{error}; samples in {folder}"
        return Trial(account.alias, account.provider, "failed", about)
    about = f"{about}; {exported}; samples in {folder}"
    return Trial(account.alias, account.provider, "ok", about)
