"""Rate limit of an account: all workers take turns before they call its provider."""

from __future__ import annotations

import time
from collections.abc import Callable

from config.accounts import Account
from providers.errors import Throttled

from .context import ledger

#: A turn further away than this, in seconds, is waited for as a row, not in a slot.
_LONGEST_TURN_SECONDS = 5.0


def take_turn(
    account: Account,
    refusal: Callable[[str, float], Exception],
    *,
    found_no_pause: bool = False,
) -> None:
    """Wait for the account's turn, if its calls are spaced.

    Raises what ``refusal`` makes of a reason and seconds while the account is paused, and if the
    turn is far away. ``found_no_pause`` says that the ledger was asked for a pause just now.
    """
    pause = None if found_no_pause else ledger().accounts.pause(account.alias)
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
    """Return the ``before_call`` of a task that opens no job.

    The callable takes the account's turn and raises Throttled during a pause.
    """

    def throttled(reason: str, seconds: float) -> Exception:
        return Throttled(account.provider, reason, seconds)

    return lambda: take_turn(account, throttled)
