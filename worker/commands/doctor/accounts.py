"""``doctor`` on the accounts: whether the providers take the credentials that the workers have.

With the token that all workers share, so that nobody is logged out by it (`accounts check` logs in
anew): at most one renewal, one page or one list of calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from config.accounts import Account
from config.settings import Settings
from ledger.errors import LedgerError
from providers import registry
from providers.errors import BadCredentials, ProviderError
from providers.interface import Probes
from tasks.runtime.context import ledger

from .findings import Finding, error, ok, warning

_AT_ONCE = 8


def examined(settings: Settings) -> Iterator[Finding]:
    """Ask each provider one harmless thing; an account that rests is told of elsewhere."""
    accounts = [settings.accounts[alias] for alias in sorted(settings.accounts)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in pool.map(_account, accounts):
            if found is not None:
                yield found


def _account(account: Account) -> Finding | None:
    subject = f"account {account.alias}"
    if not registry.client_class(account, Probes).tries_credentials:
        untried = "its credentials are not tried: each request there is a call that costs money"
        return ok(subject, untried)
    try:
        if ledger().accounts.pause(account.alias) is not None:
            return None
        with registry.client(
            account, Probes, ledger().accounts.token_store(account.alias)
        ) as client:
            client.probe()
    except BadCredentials as failure:
        meaning = f"its credentials are refused, and its jobs fail or wait: {failure}"
        advice = (
            "put them right on every host, run: python -m worker accounts check, and restart the "
            "workers"
        )
        return error(subject, meaning, advice)
    except (ProviderError, LedgerError) as failure:
        meaning = f"whether its credentials are good is not known: {failure}"
        return warning(subject, meaning, "run: python -m worker accounts check")
    return ok(subject, "its credentials are taken")
