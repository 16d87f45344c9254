"""How an account gets its tokens: which grant, from where, and what a refusal means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from config.accounts import VoipnowAccount, VonageAccount
from providers.errors import ProviderError
from providers.voipnow import refusals as voipnow_refusals
from providers.vonage import refusals

from .session import Answer


@dataclass(frozen=True, repr=False)
class Login:
    """An account's way to a token.

    ``address`` is the token endpoint, ``grant`` the form of a login and ``client`` what every form
    ends with. ``secrets`` seal the token and stay out of errors. ``refreshes``: a login's refresh
    token is good for the next. ``standing`` is a token of accounts.toml, in place of all this.
    ``advice`` says what to look at when the login is refused.
    """

    provider: str
    address: str
    grant: Mapping[str, str]
    client: Mapping[str, str]
    secrets: tuple[str, ...]
    refreshes: bool
    advice: str
    refusal: Callable[[Answer, str], ProviderError]
    reason: Callable[[bytes], tuple[str, str | None]]
    standing: SecretStr | None = None


def login(account: VonageAccount | VoipnowAccount) -> Login:
    """The account's login."""
    return _vonage(account) if isinstance(account, VonageAccount) else _voipnow(account)


def _vonage(account: VonageAccount) -> Login:
    """The password grant and its refresh tokens (docs/providers/vonage.md, "Signing in")."""
    password, client_secret = _value(account.password), _value(account.client_secret)
    return Login(
        provider=refusals.NAME,
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
        refusal=refusals.refusal,
        reason=refusals.error_reason,
        standing=account.access_token,
    )


def _voipnow(account: VoipnowAccount) -> Login:
    """The client-credentials grant, which gives no refresh token. The vendor's own clients also
    send type and redirect_uri (docs/providers/voipnow.md, "Signing in").
    """
    address = f"{account.base_url}/oauth/token.php"
    secret = account.client_secret.get_secret_value()
    return Login(
        provider=voipnow_refusals.NAME,
        address=address,
        grant={
            "grant_type": "client_credentials",
            "type": "unifiedapi",
            "redirect_uri": address,
        },
        client={"client_id": account.client_id, "client_secret": secret},
        secrets=(account.client_id, secret),
        refreshes=False,
        advice="check client_id and client_secret: the App's key and secret on the VoipNow server",
        refusal=voipnow_refusals.refusal,
        reason=voipnow_refusals.error_reason,
    )


def _value(secret: SecretStr | None) -> str:
    """Empty beside an access_token, which needs no login."""
    return "" if secret is None else secret.get_secret_value()
