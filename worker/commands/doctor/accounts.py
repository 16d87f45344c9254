"""``doctor`` on the accounts: whether the providers accept the workers' credentials.

Doctor uses the token that all workers share, so that it logs nobody out (`accounts check` logs in
again). It costs at most one renewal, one page of recordings or one list of calls.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.accounts import Account
from ledger.errors import LedgerError
from providers import registry
from providers.errors import BadCredentials, ProviderError
from providers.interface import Probes
from tasks.runtime.context import ledger

from .findings import Finding, error, ok, warning


def examined(account: Account) -> Iterator[Finding]:
    """Send the provider one harmless request, unless the account rests, which ``work`` reports."""
    found = _tried(account)
    if found is not None:
        yield found


def _tried(account: Account) -> Finding | None:
    subject = f"account {account.alias}"
    if not registry.client_class(account, Probes).tries_credentials:
        untried = "its credentials are not tried: every request there is a paid call"
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
            "correct them on every host, run: earwitness accounts check, and restart the workers"
        )
        return error(subject, meaning, advice)
    except (ProviderError, LedgerError) as failure:
        meaning = f"its credentials could not be tried: {failure}"
        return warning(subject, meaning, "run: earwitness accounts check")
    return ok(subject, "its credentials are accepted")
