"""A Vonage client for one attempt: paused, spaced and watched as the ledger says."""

from __future__ import annotations

from providers.vonage.client import Vonage

from .context import ledger, vonage_account
from .rate_limit import take_turn, turn_or_throttled
from .runner import Attempt, Wait


def client(attempt: Attempt) -> Vonage:
    """The client of the job's account. From now on the attempt's signs of life cover a call's total
    deadline; a pause of the account or a far turn raises Wait before a call.
    """
    account = vonage_account(attempt.job.account)
    attempt.calls_last(account.timeout_seconds)

    def wait(reason: str, seconds: float) -> Exception:
        return Wait(reason, seconds)

    def before_call() -> None:
        attempt.check()
        take_turn(account, wait)

    return Vonage(account, ledger().accounts.shelf(account.alias), before_call=before_call)


def plain_client(alias: str) -> Vonage:
    """The client of an account for a task that opens no job; a pause raises Throttled."""
    account = vonage_account(alias)
    return Vonage(account, ledger().accounts.shelf(alias), before_call=turn_or_throttled(account))
