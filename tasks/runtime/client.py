"""An account's client by what it can do: paused, spaced and watched as the ledger says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from config.accounts import Account
from providers import registry
from providers.errors import Unsupported
from providers.interface import Probes
from tasks.errors import InvalidArgument

from .context import account, ledger
from .rate_limit import take_turn, turn_or_throttled
from .runner import Attempt, Wait

Client = TypeVar("Client", bound=Probes)
Kind = TypeVar("Kind", bound=Account)


def account_of(alias: str, kind: type[Kind]) -> Kind:
    """Return the account with this alias, as one of this kind (`providers.accounts`). Raises
    InvalidArgument where it is of another kind, or there is none.
    """
    try:
        return registry.account(account(alias), kind)
    except Unsupported as error:
        raise InvalidArgument(f"not done: {error}") from None


def client_class(found: Account, capability: type[Client]) -> type[Client]:
    """Return the class of the account's clients, for what needs no client. Raises InvalidArgument
    where the provider cannot do it.
    """
    try:
        return registry.client_class(found, capability)
    except Unsupported as error:
        raise InvalidArgument(f"not done: {error}") from None


def open_client(
    found: Account, capability: type[Client], before_call: Callable[[], None]
) -> Client:
    """Return a client of the account that can do this, a context manager; its token is the one of
    all workers. ``before_call`` is called before each HTTP call. Raises InvalidArgument where the
    provider cannot do it.
    """
    client_class(found, capability)
    token_store = ledger().accounts.token_store(found.alias)
    return registry.client(found, capability, token_store, before_call=before_call)


def client(
    attempt: Attempt,
    capability: type[Client],
    wait: Callable[[str, float], Exception] = Wait,
) -> Client:
    """Return the client of the job's account. From now on the attempt's signs of life cover a
    call's total deadline. While the account rests, and where its turn is far, a call raises what
    ``wait`` makes of the reason and the seconds.
    """
    found = account(attempt.job.account)
    attempt.expect_silence(found.timeout_seconds)

    def before_call() -> None:
        attempt.check()
        take_turn(found, wait)

    return open_client(found, capability, before_call)


def plain_client(alias: str, capability: type[Client]) -> Client:
    """Return the client of an account for a task that opens no job: while the account rests, a
    call raises Throttled.
    """
    found = account(alias)
    return open_client(found, capability, turn_or_throttled(found))
