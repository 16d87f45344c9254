"""``doctor`` on the providers: reachable, and with clocks that agree with this machine's."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from config.accounts import Account
from config.settings import Settings
from providers.http.deadline import Transport, within
from providers.http.headers import date_of

from .findings import Finding, error, ok, warning

_MOST_SECONDS = 60
#: How long the answer is waited for.
_SECONDS = 5.0


def addressed(settings: Settings) -> list[Account]:
    """Return one account for each provider's address."""
    return list({account.base_url: account for account in settings.accounts.values()}.values())


def subject(account: Account) -> str:
    """Return the subject of the findings about an account's provider."""
    return f"provider of {account.alias}"


def clock(account: Account) -> Finding:
    """Compare the provider's clock with this machine's, without logging in."""
    about = subject(account)
    try:
        theirs = date_of(_head(account))
    except httpx.HTTPError as failure:
        meaning = f"{account.base_url} does not answer ({type(failure).__name__})"
        return error(about, meaning, "check the network and base_url; its jobs wait meanwhile")
    if theirs is None:
        return ok(about, "answers, but sends no Date: the clock cannot be compared")
    ahead = (datetime.now(UTC) - theirs).total_seconds()
    if abs(ahead) <= _MOST_SECONDS:
        return ok(about, f"answers; this machine's clock differs by {abs(ahead):.0f} s")
    way = "ahead of" if ahead > 0 else "behind"
    differs = f"this machine's clock is {abs(ahead):.0f} s {way} the provider's"
    meaning = f"{differs}: days end at the wrong time"
    return warning(about, meaning, "synchronise it (NTP)")


def _head(account: Account) -> httpx.Headers:
    seconds = min(account.timeout_seconds, _SECONDS)
    with (
        httpx.Client(
            transport=Transport(verify=account.verify_tls),
            timeout=seconds,
            trust_env=False,
        ) as client,
        within(seconds),
        client.stream("GET", account.base_url) as answer,
    ):
        return answer.headers
