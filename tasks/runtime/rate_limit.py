"""An account's turns: what all workers owe its provider before a call."""

from __future__ import annotations

import time
from collections.abc import Callable

from config.accounts import Account
from providers.errors import Throttled

from .context import ledger

#: A turn further away than this is waited for as a row, not in a slot.
_LONGEST_TURN_SECONDS = 5.0


def take_turn(account: Account, refusal: Callable[[str, float], Exception]) -> None:
    """Wait for the account's turn, where its calls are spaced.

    Raises what ``refusal`` makes of a reason and seconds while the account rests, and where the
    turn is far.
    """
    pause = ledger().accounts.pause(account.alias)
    if pause is not None:
        seconds, because = pause
        raise refusal(because, seconds)
    if account.rate is None:
        return
    taken, wait = ledger().accounts.turn(
        account.alias,
        account.rate.seconds / account.rate.count,
        within_seconds=_LONGEST_TURN_SECONDS,
    )
    if not taken:
        raise refusal(f"account {account.alias} waits for its turn", wait)
    time.sleep(wait)


def turn_or_throttled(account: Account) -> Callable[[], None]:
    """What a client calls before each call of a task that opens no job: it takes the account's
    turn, and a pause raises Throttled.
    """

    def throttled(reason: str, seconds: float) -> Exception:
        return Throttled(account.provider, reason, seconds)

    return lambda: take_turn(account, throttled)
