"""Clients of an account's provider by capability, paused and spaced as the ledger says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from config.accounts import Account
from ledger.core.held import CREDENTIALS
from ledger.core.pauses import REFUSED_CREDENTIALS
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
    """Return the account with this alias, as one of this kind (`providers.accounts`).

    Raises InvalidArgument if no account has the alias, or the account is of another kind.
    """
    try:
        return registry.account(account(alias), kind)
    except Unsupported as error:
        raise InvalidArgument(f"not done: {error}") from None


def client_class(found: Account, capability: type[Client]) -> type[Client]:
    """Return the class of the account's clients, for work that needs no client.

    Raises InvalidArgument if the provider lacks the capability.
    """
    try:
        return registry.client_class(found, capability)
    except Unsupported as error:
        raise InvalidArgument(f"not done: {error}") from None


def open_client(
    found: Account, capability: type[Client], before_call: Callable[[], None]
) -> Client:
    """Return a client of the account with this capability, a context manager.

    All workers share the account's token. ``before_call`` is called before each HTTP call. Raises
    InvalidArgument if the provider lacks the capability.
    """
    client_class(found, capability)
    token_store = ledger().accounts.token_store(found.alias)
    return registry.client(found, capability, token_store, before_call=before_call)


def client(
    attempt: Attempt,
    capability: type[Client],
    wait: Callable[[str, float], Exception] = Wait,
) -> Client:
    """Return the client of the job's account.

    The attempt's heartbeat allows for a call's total deadline from now on. While the account is
    paused, or its turn is far away, a call raises what ``wait`` makes of the reason and the
    seconds.
    """
    found = account(attempt.job.account)
    attempt.expect_silence(found.timeout_seconds)

    def refused(reason: str, seconds: float) -> Exception:
        refusal = wait(reason, seconds)
        if isinstance(refusal, Wait) and reason.startswith(REFUSED_CREDENTIALS):
            refusal.held_by = CREDENTIALS
        return refusal

    def before_call() -> None:
        attempt.check()
        take_turn(found, refused)

    return open_client(found, capability, before_call)


def plain_client(alias: str, capability: type[Client]) -> Client:
    """Return the client of an account for a task that opens no job.

    While the account is paused, a call raises Throttled.
    """
    found = account(alias)
    return open_client(found, capability, turn_or_throttled(found))
