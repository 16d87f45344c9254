"""Accounts: one set of credentials at one provider, as `accounts.toml` describes them.

The names of the fields leave the house: `accounts.example.toml` shows every one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    StringConstraints,
    model_validator,
)

from .errors import ConfigurationError
from .fields import (
    FROZEN,
    THAWED,
    FrozenTable,
    HostName,
    Rate,
    RateLimit,
    Secret,
    Several,
    Text,
    TimeZone,
    Token,
    WebAddress,
)
from .nightly import Nightly

__all__ = [
    "Account",
    "Accounts",
    "AnyAccount",
    "GsmblockchainAccount",
    "Nightly",
    "OzekiAccount",
    "Rate",
    "VoipnowAccount",
    "VonageAccount",
]

ALIAS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
ALIAS_LENGTH = 40

#: A country that certified calls may be placed to, by ISO 3166.
Country = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]


class AnyAccount(FrozenTable):
    """What every account has: its alias, and how its provider may be called."""

    alias: str
    rate: RateLimit = None
    timeout_seconds: float = Field(30, gt=0)
    verify_tls: bool = True


class GsmblockchainAccount(AnyAccount):
    """Certified calls. Limits and countries are required, since each call is paid."""

    provider: Literal["gsmblockchain"]
    base_url: WebAddress = "https://sms.gsmblockchain.com"
    username: Text
    password: Secret
    timezone: TimeZone
    max_calls_per_day: int = Field(ge=0)
    max_seconds_per_call: int = Field(gt=0)
    countries: Annotated[tuple[Country, ...], Several, Field(min_length=1)]
    company_name: Text | None = None
    company_id: Text | None = None

    @property
    def login(self) -> str | None:
        """What tells this account from another at the same address."""
        return self.username


class VoipnowAccount(AnyAccount):
    """Recordings of live calls on a VoipNow server."""

    provider: Literal["voipnow"]
    base_url: WebAddress
    api_path: Annotated[str, StringConstraints(pattern="^(/[^/?#]+)*$")] = "/uapi"
    client_id: Text
    client_secret: Secret

    @property
    def login(self) -> str | None:
        """What tells this account from another at the same address."""
        return self.client_id


class OzekiAccount(AnyAccount):
    """Recordings of live calls on an Ozeki server."""

    provider: Literal["ozeki"]
    base_url: WebAddress
    username: Text | None = None
    password: Secret | None = None
    control: Literal["http", "ozml_third_party", "ozml_extension"] = "http"
    allowed_networks: Annotated[tuple[IPvAnyNetwork, ...], Several] = ()
    recording_hosts: Annotated[tuple[HostName, ...], Several] = ()
    collect_deadline_hours: float = Field(24, gt=0)

    @property
    def login(self) -> str | None:
        """What tells this account from another at the same address."""
        return self.username

    @model_validator(mode="after")
    def _whole_login(self) -> OzekiAccount:
        if (self.username is None) != (self.password is None):
            raise ValueError("has only one of username and password; give both or neither")
        return self


class VonageAccount(AnyAccount):
    """Bulk exports and single recordings of Vonage Business Communications."""

    provider: Literal["vonage"]
    base_url: WebAddress = "https://api.vonage.com/t/vbc.prod/call_recording_india"
    token_url: WebAddress = "https://api.vonage.com/token"  # noqa: S105 - an address
    account_id: Text = "self"
    username: Text | None = None
    login_name: Text | None = None
    password: Secret | None = None
    client_id: Text | None = None
    client_secret: Secret | None = None
    access_token: Token | None = None
    download_hosts: Annotated[tuple[HostName, ...], Several] = ()
    allow_delete: bool = False
    nightly: Nightly | None = None

    @property
    def login(self) -> str | None:
        """What tells this account from another at the same address."""
        if self.access_token is not None:
            return self.access_token.get_secret_value()
        return self.username

    @model_validator(mode="after")
    def _one_way_in(self) -> VonageAccount:
        grant = ("username", "password", "client_id", "client_secret")
        missing = [name for name in grant if getattr(self, name) is None]
        if self.access_token is not None and len(missing) < len(grant):
            raise ValueError(
                f"has access_token beside {', '.join(n for n in grant if n not in missing)}; "
                "give access_token alone, or none"
            )
        if self.access_token is None and missing:
            raise ValueError(
                f"has no {', '.join(missing)}; give {', '.join(grant)}, or access_token alone"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _default_login_name(cls, table: object) -> object:
        if isinstance(table, Mapping) and isinstance(table.get("username"), str):
            return {"login_name": table["username"].strip().partition("@")[0], **table}
        return table

    @model_validator(mode="after")
    def _may_export(self) -> VonageAccount:
        if self.nightly is not None and self.login_name is None:
            raise ValueError(
                "has nightly, but neither username nor login_name, for which an export is made; "
                "give login_name"
            )
        return self

    @model_validator(mode="after")
    def _may_delete(self) -> VonageAccount:
        if self.nightly is not None and self.nightly.delete_after_days and not self.allow_delete:
            raise ValueError(
                "has nightly.delete_after_days, but not allow_delete; "
                "set allow_delete = true, or delete_after_days = 0"
            )
        return self


Account = Annotated[
    GsmblockchainAccount | VoipnowAccount | OzekiAccount | VonageAccount,
    Field(discriminator="provider"),
]

#: The tables of `accounts.toml` by the provider that they name.
PROVIDERS: Mapping[str, type[AnyAccount]] = {
    "gsmblockchain": GsmblockchainAccount,
    "voipnow": VoipnowAccount,
    "ozeki": OzekiAccount,
    "vonage": VonageAccount,
}


def _named(tables: object) -> object:
    """Each table with the alias that it stands under."""
    if not isinstance(tables, Mapping):
        return tables
    return {alias: _with_alias(alias, table) for alias, table in tables.items()}


def _with_alias(alias: object, table: object) -> object:
    text = str(alias)
    if not ALIAS.fullmatch(text) or len(text) > ALIAS_LENGTH:
        raise ConfigurationError(
            f'accounts."{text}" is no alias: use lower-case letters, digits and single '
            f"underscores, a letter first and {ALIAS_LENGTH} characters at most, such as legal_es"
        )
    if not isinstance(table, Mapping):
        return table
    if "alias" in table:
        raise ConfigurationError(
            f"accounts.{text}.alias is no key: the alias is the name of the table; remove the line"
        )
    return {"alias": text, **table}


def _distinct(accounts: Mapping[str, Account]) -> Mapping[str, Account]:
    """Two aliases for one login would each keep limits and a token of their own."""
    seen: dict[tuple[str, str, str | None], str] = {}
    for alias, account in accounts.items():
        login = (account.provider, account.base_url, account.login)
        if login in seen:
            raise ConfigurationError(
                f"accounts.{alias} is the same login as accounts.{seen[login]} (same provider, "
                "base_url and user): keep one of them"
            )
        seen[login] = alias
    return accounts


Accounts = Annotated[
    Mapping[str, Account], FROZEN, THAWED, AfterValidator(_distinct), BeforeValidator(_named)
]
