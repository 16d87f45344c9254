"""``doctor`` on the providers: reachable, and with clocks that agree with this machine's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx

from config.accounts import Account
from config.settings import Settings
from providers.http.deadline import Transport, within
from providers.http.headers import date_of

from .findings import Finding, error, ok, warning

_MOST_SECONDS = 60


def clocks(settings: Settings) -> Iterator[Finding]:
    """Compare each provider's clock with this machine's, without logging in."""
    addresses = {account.base_url: account for account in settings.accounts.values()}
    for account in addresses.values():
        yield _clock(account)


def _clock(account: Account) -> Finding:
    subject = f"provider of {account.alias}"
    try:
        theirs = date_of(_head(account))
    except httpx.HTTPError as failure:
        meaning = f"{account.base_url} does not answer ({type(failure).__name__})"
        return error(subject, meaning, "see the network and base_url; its jobs wait meanwhile")
    if theirs is None:
        return ok(subject, "answers, but sends no Date: the clock cannot be compared")
    ahead = (datetime.now(UTC) - theirs).total_seconds()
    if abs(ahead) <= _MOST_SECONDS:
        return ok(subject, f"answers; this machine's clock differs by {abs(ahead):.0f} s")
    way = "ahead of" if ahead > 0 else "behind"
    differs = f"this machine's clock is {abs(ahead):.0f} s {way} the provider's"
    meaning = f"{differs}: days end at the wrong time"
    return warning(subject, meaning, "synchronise it (NTP)")


def _head(account: Account) -> httpx.Headers:
    with (
        httpx.Client(
            transport=Transport(verify=account.verify_tls),
            timeout=account.timeout_seconds,
            trust_env=False,
        ) as client,
        within(account.timeout_seconds),
        client.stream("GET", account.base_url) as answer,
    ):
        return answer.headers
