"""An Ozeki account and its client for one attempt: paused, spaced and watched by the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from providers.ozeki.account import OzekiAccount
from providers.ozeki.client import Ozeki
from tasks.errors import InvalidArgument
from tasks.runtime.context import account
from tasks.runtime.rate_limit import take_turn
from tasks.runtime.runner import Attempt, Wait


def ozeki_account(alias: str) -> OzekiAccount:
    """The Ozeki account with this alias. Raises InvalidArgument."""
    found = account(alias)
    if not isinstance(found, OzekiAccount):
        raise InvalidArgument(
            f"not done: account: {alias!r} is a {found.provider} account; this task is for ozeki"
        )
    return found


def is_live(calls: list[dict[str, Any]], call_id: str) -> bool:
    """Whether the call is among these, or may be: one whose id could not be read may be any."""
    return any(call["call_id"] in (call_id, None) for call in calls)


def client(attempt: Attempt, wait: Callable[[str, float], Exception] = Wait) -> Ozeki:
    """The client of the job's account. From now on the attempt's signs of life cover a call's total
    deadline; a pause of the account or a far turn raises what ``wait`` makes of it.
    """
    found = ozeki_account(attempt.job.account)
    attempt.calls_last(found.timeout_seconds)

    def before_call() -> None:
        attempt.check()
        take_turn(found, wait)

    return Ozeki(found, before_call=before_call)
