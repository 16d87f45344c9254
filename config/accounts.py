"""Accounts: one set of credentials at one provider, as a table of `accounts.toml` describes it.

Every provider adds the model of its own tables with `register` (providers/registry.py); this module
knows what all accounts have in common. `accounts.example.toml` shows every field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Union

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter

from .errors import ConfigurationError
from .fields import FROZEN, THAWED, FrozenTable, Rate, RateLimit, WebAddress
from .nightly import Nightly

__all__ = ["Account", "Accounts", "Nightly", "Rate", "models", "register"]

ALIAS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
ALIAS_LENGTH = 40


def is_alias(value: object) -> bool:
    """Return whether the value has the form of an account's alias."""
    if not isinstance(value, str) or len(value) > ALIAS_LENGTH:
        return False
    return ALIAS.fullmatch(value) is not None


class Account(FrozenTable):
    """What every account has: its alias, its provider, and how that may be called."""

    alias: str
    rate: RateLimit = None
    timeout_seconds: float = Field(30, gt=0)
    verify_tls: bool = True
    provider: str
    base_url: WebAddress

    @property
    def login(self) -> str | None:
        """The user or client that tells this account from another at the same address."""
        return None

    @property
    def nights(self) -> Nightly | None:
        """When the account is exported by itself; None where it is not."""
        return None

    @property
    def may_delete(self) -> bool:
        """Whether recordings may be deleted at the provider."""
        return False

    @property
    def zone(self) -> str:
        """The IANA time zone by which the account's days are counted."""
        return "UTC" if self.nights is None else self.nights.timezone


_models: dict[str, type[Account]] = {}


def register(provider: str, model: type[Account]) -> None:
    """Read tables whose ``provider`` is this one by this model, from now on."""
    _models[provider] = model


def unregister(provider: str) -> None:
    """Take a provider's model out again."""
    del _models[provider]


def models() -> Mapping[str, type[Account]]:
    """The models that are registered, by provider."""
    return dict(_models)


def keys(model: type[Account]) -> list[str]:
    """The keys of an account's table: those of every account, then those of its provider."""
    ordered = [Account, *model.__mro__[: model.__mro__.index(Account)]]
    names = dict.fromkeys(name for one in ordered for name in one.__annotations__)
    return [name for name in names if name in model.model_fields and name != "alias"]


def _read(tables: object) -> object:
    """Each table as its provider's account."""
    if not isinstance(tables, Mapping) or not tables:
        return tables
    named = {alias: _with_alias(alias, table) for alias, table in tables.items()}
    if not _models:
        raise ConfigurationError(
            "no provider is registered, so no account can be read: import providers.registry "
            "before the settings are read"
        )
    return _adapter(tuple(_models.items())).validate_python(named)


@cache
def _adapter(known: tuple[tuple[str, type[Account]], ...]) -> TypeAdapter[Any]:
    union: Any = Union[tuple(model for _, model in known)]  # noqa: UP007 - made at run time
    return TypeAdapter(Mapping[str, Annotated[union, Field(discriminator="provider")]])


def _with_alias(alias: object, table: object) -> object:
    text = str(alias)
    if not is_alias(text):
        raise ConfigurationError(
            f'accounts."{text}" is not an alias: use lower-case letters, digits and single '
            f"underscores, a letter first and {ALIAS_LENGTH} characters at most, such as legal_es"
        )
    if not isinstance(table, Mapping):
        return table
    if "alias" in table:
        raise ConfigurationError(
            f"accounts.{text}.alias is not a key: the name of the table is the alias; remove it"
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
    Mapping[str, Account], FROZEN, THAWED, AfterValidator(_distinct), BeforeValidator(_read)
]
