"""Certified calls: requested at most once; an unknown outcome awaits a person's decision."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from config.queues import DUE
from ledger.call_outcomes import KIND, PLACED, REFUSED, UNKNOWN, UNSENT, Outcome
from ledger.calls import MOST_COMMIT_SECONDS
from ledger.core import states
from ledger.core.job import Job
from ledger.core.opening import Request
from ledger.daily_quota import Cap
from ledger.errors import CapReached, Expired, LeaseLost, LedgerAway, NotPossible
from providers import errors as provider
from providers import registry
from providers.accounts import CertifiedCallsAccount
from providers.interface import Placed, PlacesCertifiedCalls
from providers.telephone_numbers import BadCountry, BadNumber, OtherCountry, e164, national
from tasks import errors
from tasks.runtime.client import account_of
from tasks.runtime.context import ledger
from tasks.runtime.entry import job_task
from tasks.runtime.error_policy import THROTTLED_SECONDS, as_job_error
from tasks.runtime.not_after import Deadline
from tasks.runtime.rate_limit import take_turn
from tasks.runtime.runner import Attempt

from .arguments import RequestCall
from .receipts import HANDLERS
from .results import CertifiedCall

_log = logging.getLogger(__name__)

_LIFETIME_SECONDS = 900.0
#: The first wait after the ledger was too slow, which is not the provider's fault.
_BUSY_SECONDS = 1.0
_DECIDE = "the call was not retried; check the provider's panel, then run: earwitness resolve"


class _Unsent(Exception):
    """No byte of the request left; the job tries again in ``seconds``.

    With None it tries again soon, since only the ledger was slow.
    """

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


def _request(asked: RequestCall, task_id: str) -> Request:
    account = account_of(asked.account, CertifiedCallsAccount)
    not_after = None if asked.not_after is None else asked.not_after.timestamp()
    return Request(
        kind=KIND,
        account=account.alias,
        request_id=asked.request_id,
        parameters=_parameters(asked, account),
        queue=DUE,
        task_id=task_id,
        not_after=not_after,
        lifetime_seconds=_LIFETIME_SECONDS,
        details=_cap(account),
    )


def _parameters(asked: RequestCall, account: CertifiedCallsAccount) -> dict[str, Any]:
    """Return the canonical parameters. Raises InvalidArgument, which names the wrong one."""
    country, phone = _destination(asked, account)
    if asked.max_seconds > account.max_seconds_per_call:
        raise errors.InvalidArgument(
            f"not done: max_seconds: account {account.alias!r} allows "
            f"at most {account.max_seconds_per_call} seconds per call"
        )
    company = {
        name: getattr(asked, name) or getattr(account, name)
        for name in ("company_name", "company_id")
    }
    for name, value in company.items():
        if value is None:
            raise errors.InvalidArgument(
                f"not done: {name}: neither the task nor account {account.alias!r} sets it"
            )
    return {"country": country, "phone": phone, "max_seconds": asked.max_seconds, **company}


def _destination(asked: RequestCall, account: CertifiedCallsAccount) -> tuple[str, str]:
    """Return the country and the number in E.164.

    Raises InvalidArgument, which names the wrong argument, or both if they contradict each other,
    since either may be wrong.
    """
    country, wrong = asked.country.upper(), None
    try:
        phone = e164(country, asked.phone)
    except BadCountry as error:
        raise errors.InvalidArgument(f"not done: country: {error}") from None
    except OtherCountry as error:
        raise errors.InvalidArgument(f"not done: country, phone: {error}") from None
    except BadNumber as error:
        wrong = errors.InvalidArgument(f"not done: phone: {error}")
    if country not in account.countries:
        allowed = ", ".join(account.countries)
        raise errors.InvalidArgument(
            f"not done: country: account {account.alias!r} may call {allowed} only, not {country}"
        )
    if wrong is not None:
        raise wrong
    return country, phone


@job_task(KIND, RequestCall, _request, CertifiedCall, inline=True, outbox=HANDLERS)
def request_call(attempt: Attempt) -> Job:
    """Request a certified call from the platform, at most once."""
    # A call whose account was removed meanwhile expires like any other.
    Deadline(attempt).refuse_late()
    account = account_of(attempt.job.account, CertifiedCallsAccount)
    attempt.expect_silence(account.timeout_seconds)
    attempt.check()
    try:
        _take_turn(account, attempt)
        placed = _place_call(attempt, account)
    except (CapReached, provider.Unreachable) as error:
        return _take_back(attempt, str(error), attempt.next_backoff("troubles"))
    except ValueError as error:
        raise errors.InvalidArgument(f"not done: {error}") from None
    except Expired as error:
        raise errors.Expired(str(error)) from None
    except NotPossible as error:
        raise errors.Cancelled(str(error)) from None
    except _Unsent as error:
        if error.seconds is not None:
            return _take_back(attempt, str(error), error.seconds)
        seconds = attempt.next_backoff("busy", first_seconds=_BUSY_SECONDS)
        return _take_back(
            attempt, f"{error}; nothing was sent, and the call will be retried", seconds
        )
    except provider.ProviderError as error:
        _rest_account(account, error)
        return _store_outcome(attempt, _error_outcome(error, account))
    return _store_outcome(attempt, _placed_outcome(placed, account))


def _take_turn(account: CertifiedCallsAccount, attempt: Attempt) -> None:
    """Wait for the account's turn.

    Raises _Unsent if the turn is far away or the ledger does not answer.
    """
    try:
        take_turn(account, _Unsent, found_no_pause=attempt.lease.found_no_pause)
    except LedgerAway as error:
        raise _Unsent(str(error)) from None


def _place_call(attempt: Attempt, account: CertifiedCallsAccount) -> Placed:
    asked = attempt.job.parameters
    country, phone = national(asked["country"], asked["phone"])

    def before_bytes() -> None:
        begun = time.monotonic()
        try:
            ledger().calls.send(attempt.lease, _cap(account))
        except (LedgerAway, LeaseLost) as error:
            raise _Unsent(str(error)) from None
        if time.monotonic() - begun > MOST_COMMIT_SECONDS:
            raise _Unsent("the ledger took too long to confirm that the call may be sent")

    # The client is not closed: it keeps no connection, and nothing may fail once an answer is
    # there.
    return registry.client(account, PlacesCertifiedCalls).call(
        country=country,
        phone=phone,
        max_seconds=asked["max_seconds"],
        company_name=asked["company_name"],
        company_id=asked["company_id"],
        before_bytes=before_bytes,
    )


def _cap(account: CertifiedCallsAccount) -> Cap:
    return Cap(account.max_calls_per_day, account.timezone)


def _rest_account(account: CertifiedCallsAccount, error: provider.ProviderError) -> None:
    """Pause the other calls of the account after a 429 or 503."""
    if getattr(error, "http_status", None) not in (429, 503):
        return
    seconds = getattr(error, "retry_after", None) or THROTTLED_SECONDS
    try:
        ledger().accounts.postpone(account.alias, seconds, f"the provider asked to wait: {error}")
    except LedgerAway as away:
        _log.warning("could not pause account %s: %s", account.alias, away)


def _placed_outcome(placed: Placed, account: CertifiedCallsAccount) -> Outcome:
    platform = registry.client_class(account, PlacesCertifiedCalls)
    phone = platform.kept_field(account, placed.platform_phone)
    return Outcome(
        states.DONE,
        PLACED,
        result={"state": states.DONE, "platform_phone": phone},
        http_status=placed.http_status,
        answer=platform.kept_answer(account, placed.answer),
        platform_phone=phone,
    )


def _late_unsent_outcome() -> Outcome:
    """Return the outcome of a call whose worker was taken for dead and had sent nothing.

    The worker reports so only now. The caller was asked for a decision meanwhile, and may have
    called under another id.
    """
    failure = errors.Unreachable(
        "not done: its worker stalled before anything was sent, and reported that only now; the "
        "call is not retried; to place it, use a new request id"
    )
    return Outcome(states.FAILED, UNSENT, str(failure), errors.stored(failure))


def _error_outcome(error: provider.ProviderError, account: CertifiedCallsAccount) -> Outcome:
    """Return the outcome of an error: a refusal if it was understood, otherwise unknown."""
    status = getattr(error, "http_status", None)
    came = getattr(error, "answer", b"")
    platform = registry.client_class(account, PlacesCertifiedCalls)
    answer = platform.kept_answer(account, came)
    if isinstance(error, provider.Rejected):
        failure = as_job_error(error)
        return Outcome(
            states.FAILED,
            REFUSED,
            str(failure),
            errors.stored(failure),
            http_status=status,
            answer=answer,
            error_message=platform.kept_field(account, platform.error_message(came)),
        )
    unknown = errors.Uncertain(f"unknown: {error}; {_DECIDE}")
    return Outcome(
        states.NEEDS_DECISION,
        UNKNOWN,
        str(unknown),
        errors.stored(unknown),
        http_status=status,
        answer=answer,
    )


def _store_outcome(attempt: Attempt, outcome: Outcome) -> Job:
    """Store the outcome of the request, however long the ledger is unavailable.

    Only this process knows the outcome. If it is killed meanwhile, the call awaits a decision.
    """
    return _write_until_stored(
        attempt,
        lambda: ledger().calls.store_outcome(attempt.lease, outcome, own_task=attempt.task_id),
    )


def _take_back(attempt: Attempt, reason: str, seconds: float) -> Job:
    """Let a call of which nothing was sent wait, however long the ledger is unavailable.

    Only this process knows that nothing was sent. If it is killed meanwhile, a call that was noted
    as *sending* awaits a decision.
    """
    _log.info("job %s waits: %s", attempt.job.job_id, reason)
    attempt.note_obstacle(None)
    return _write_until_stored(
        attempt,
        lambda: ledger().calls.take_back(
            attempt.lease,
            reason,
            seconds=seconds,
            work=attempt.job.work,
            unsent=_late_unsent_outcome(),
            own_task=attempt.task_id,
        ),
    )


def _write_until_stored(attempt: Attempt, write: Callable[[], Job]) -> Job:
    """Write to the ledger again and again while it is away; return the job as it is then."""
    while True:
        try:
            return write()
        except LedgerAway as error:
            _log.warning(
                "could not store the outcome of job %s, will retry: %s", attempt.job.job_id, error
            )
            attempt.lease.progress(attempt.quiet_seconds)
            time.sleep(1)
