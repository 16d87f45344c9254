"""A Vonage client for one attempt: paused, spaced and watched as the ledger says."""

from __future__ import annotations

import time
from collections.abc import Callable

from config.accounts import VonageAccount
from providers.errors import Throttled
from providers.vonage import Vonage

from .attempt import Attempt, Wait
from .resources import ledger, vonage_account

#: A turn further away than this is waited for as a row, not in a slot.
_LONGEST_TURN_SECONDS = 5.0


def client(attempt: Attempt) -> Vonage:
    """The client of the job's account. From now on the attempt's signs of life cover a call's total
    deadline; a pause of the account or a far turn raises Wait before a call.
    """
    account = vonage_account(attempt.job.account)
    attempt.quiet_seconds = 2 * account.timeout_seconds + ledger().leases.seconds

    def wait(reason: str, seconds: float) -> Exception:
        return Wait(reason, seconds)

    def before_call() -> None:
        attempt.check()
        _take_turn(account, wait)

    return Vonage(account, ledger().accounts.shelf(account.alias), before_call=before_call)


def plain_client(alias: str) -> Vonage:
    """The client of an account for a task that opens no job; a pause raises Throttled."""
    account = vonage_account(alias)

    def throttled(reason: str, seconds: float) -> Exception:
        return Throttled("vonage", reason, seconds)

    return Vonage(
        account,
        ledger().accounts.shelf(alias),
        before_call=lambda: _take_turn(account, throttled),
    )


def _take_turn(account: VonageAccount, refusal: Callable[[str, float], Exception]) -> None:
    pause = ledger().accounts.pause(account.alias)
    if pause is not None:
        seconds, because = pause
        raise refusal(because, seconds)
    if account.rate is None:
        return
    wait = ledger().accounts.turn(account.alias, account.rate.seconds / account.rate.count)
    if wait > _LONGEST_TURN_SECONDS:
        raise refusal(f"account {account.alias} waits for its turn", wait)
    time.sleep(wait)
