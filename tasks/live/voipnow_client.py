"""A VoipNow client: its token on the shelf of all workers, paused and spaced as the ledger says."""

from __future__ import annotations

from collections.abc import Callable

from providers.voipnow.account import VoipnowAccount
from providers.voipnow.client import Voipnow
from tasks.runtime.context import ledger
from tasks.runtime.rate_limit import turn_or_throttled


def client(account: VoipnowAccount, before_call: Callable[[], None]) -> Voipnow:
    """The account's client; ``before_call`` is called before each HTTP call."""
    return Voipnow(account, ledger().accounts.shelf(account.alias), before_call=before_call)


def plain_client(account: VoipnowAccount) -> Voipnow:
    """The account's client for a task that opens no job; a pause raises Throttled."""
    return client(account, turn_or_throttled(account))
