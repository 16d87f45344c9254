"""The registered providers, one line each, and access to them by capability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pkgutil import resolve_name
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from config import accounts
from config.accounts import Account

from .errors import Unsupported
from .gsmblockchain.account import GsmblockchainAccount
from .interface import Probes
from .ozeki.account import OzekiAccount
from .voipnow.account import VoipnowAccount
from .vonage.account import VonageAccount

if TYPE_CHECKING:
    import httpx

    from .http.tokens import TokenStore

Capability = TypeVar("Capability", bound=Probes)
Kind = TypeVar("Kind", bound=Account)


@dataclass(frozen=True)
class Provider:
    """A provider: its name in `accounts.toml`, the model of its accounts and its client's class,
    which inherits from the provider's capabilities (`interface`).

    ``client`` is the class, or its name as ``package.module:Class``. A named class is loaded when
    it is first used, so that commands that only read the accounts load no HTTP library.
    """

    name: str
    account: type[Account]
    client: type[Any] | str

    @cached_property
    def client_class(self) -> type[Any]:
        """The class of the provider's clients.

        Raises TypeError if it lacks an operation of a capability that it inherits from.
        """
        found = resolve_name(self.client) if isinstance(self.client, str) else self.client
        lacking = [
            f"{capability.__name__}.{name}"
            for capability in _capabilities(found)
            for name in _operations(capability)
            if _is_lacking(found, capability, name)
        ]
        if lacking:
            raise TypeError(
                f"provider {self.name}: its client {found.__name__} lacks {', '.join(lacking)}: "
                "write it, or do not inherit from that capability"
            )
        loaded: type[Any] = found
        return loaded

    def has(self, capability: type[Probes]) -> bool:
        """Return whether the provider has this capability."""
        return capability in self.client_class.__mro__


_providers: dict[str, Provider] = {}


def register(provider: Provider) -> None:
    """Add a provider, before the settings are read.

    Raises TypeError if its client's class is given and lacks an operation of a capability that it
    inherits from. A named class is examined when it is loaded (`load_clients`).
    """
    if not isinstance(provider.client, str):
        _ = provider.client_class
    _providers[provider.name] = provider
    accounts.register(provider.name, provider.account)


def load_clients() -> None:
    """Load every provider's client now, so that no job waits for it. Raises TypeError."""
    for provider in _providers.values():
        _ = provider.client_class


def unregister(name: str) -> None:
    """Remove a provider."""
    del _providers[name]
    accounts.unregister(name)


def providers() -> Mapping[str, Provider]:
    """Return the registered providers, by name."""
    return dict(_providers)


def has(account: Account, capability: type[Probes]) -> bool:
    """Return whether the account's provider has this capability."""
    return _providers[account.provider].has(capability)


def client_class(account: Account, capability: type[Capability]) -> type[Capability]:
    """Return the class of the account's client, for operations that need no client. Raises
    Unsupported.
    """
    found = _providers[account.provider]
    if not found.has(capability):
        able = tuple(name for name, one in _providers.items() if one.has(capability))
        raise Unsupported(account.alias, account.provider, able)
    inherits: type[Capability] = found.client_class
    return inherits


def client(
    account: Account,
    capability: type[Capability],
    token_store: TokenStore | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
    before_call: Callable[[], None] | None = None,
) -> Capability:
    """Return a client of the account with this capability: a context manager, used by one thread.

    ``token_store`` is the storage of the account's token, shared by all workers; a provider that
    logs in needs one. ``before_call`` is called before each HTTP call of an operation;
    ``transport`` is the seam for tests. Raises Unsupported if the account's provider lacks the
    capability; nothing is sent yet.
    """
    opens: Any = client_class(account, capability)
    opened: Capability = opens(account, token_store, transport=transport, before_call=before_call)
    return opened


def account(account: Account, kind: type[Kind]) -> Kind:
    """Return the same account, as one of this kind (`providers.accounts`). Raises Unsupported."""
    if isinstance(account, kind):
        return account
    able = tuple(name for name, one in _providers.items() if issubclass(one.account, kind))
    raise Unsupported(account.alias, account.provider, able)


def accounts_of(every: Mapping[str, Account], kind: type[Kind]) -> dict[str, Kind]:
    """Return those of the accounts that are of this kind, by alias."""
    return {alias: one for alias, one in every.items() if isinstance(one, kind)}


def _capabilities(client: type[Any]) -> list[type]:
    return [one for one in client.__mro__ if getattr(one, "_is_protocol", False)]


def _operations(capability: type) -> list[str]:
    """Return the names of the operations that a capability requires; a body in the class is a
    default.
    """
    described = (FunctionType, staticmethod, property)
    return [
        name
        for name, value in vars(capability).items()
        if not name.startswith("_") and isinstance(value, described)
    ]


def _is_lacking(client: type[Any], capability: type, name: str) -> bool:
    return getattr(client, name) is getattr(capability, name)


for _provider in (
    Provider("gsmblockchain", GsmblockchainAccount, "providers.gsmblockchain.client:Gsmblockchain"),
    Provider("voipnow", VoipnowAccount, "providers.voipnow.client:Voipnow"),
    Provider("ozeki", OzekiAccount, "providers.ozeki.client:Ozeki"),
    Provider("vonage", VonageAccount, "providers.vonage.client:Vonage"),
):
    register(_provider)
