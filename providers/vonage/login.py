"""The way a Vonage account gets its tokens."""

from __future__ import annotations

from pydantic import SecretStr

from providers.http.exchange import Answer
from providers.http.oauth import Login

from .account import VonageAccount
from .refusals import error_reason, is_not_subscribed, refusal


def login(account: VonageAccount) -> Login:
    """Return the password grant with its refresh tokens (docs/providers/vonage.md)."""
    password, client_secret = _value(account.password), _value(account.client_secret)
    return Login(
        address=account.token_url,
        grant={
            "grant_type": "password",
            "username": account.username or "",
            "password": password,
            "scope": "openid",
        },
        client={"client_id": account.client_id or "", "client_secret": client_secret},
        secrets=(password, client_secret),
        refreshes=True,
        advice="check username, password, client_id and client_secret, and that the user signs in "
        "with a password, not by single sign-on",
        refusal=refusal,
        reason=error_reason,
        has_ended=_has_ended,
        standing=account.access_token,
    )


def _has_ended(answer: Answer) -> bool:
    """Return whether the token has ended. No token helps an application without its
    subscription.
    """
    return answer.status == 401 and not is_not_subscribed(answer)


def _value(secret: SecretStr | None) -> str:
    """Return the secret's value; empty beside an access_token, which needs no login."""
    return "" if secret is None else secret.get_secret_value()
