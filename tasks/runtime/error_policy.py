"""Error policy: whether an error of a provider or of the archive makes a job wait or end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from archive.errors import ArchiveError, Contradiction, Damaged, Dangerous, NoSpace
from config.settings import settings
from ledger.core import held
from ledger.core.pauses import REFUSED_CREDENTIALS
from providers import errors as provider
from providers.errors import ProviderError
from tasks import errors

from . import archive_alerts, metrics
from .alerts import credentials_accepted, credentials_refused
from .context import ledger
from .corrected_accounts import note_refused, was_corrected
from .runner import Attempt, Wait

#: How many seconds an account rests when its provider asks to wait without saying how long.
THROTTLED_SECONDS = 60.0


@contextmanager
def apply_error_policy(attempt: Attempt, *, waits_for_credentials: bool) -> Iterator[None]:
    """Turn errors of providers and archive into a wait of the job, or into its end.

    ``waits_for_credentials``: the job waits after refused credentials; otherwise they end the job.
    """
    try:
        yield
    except ProviderError as error:
        _handle_provider_error(attempt, error, waits_for_credentials=waits_for_credentials)
    except NoSpace as error:
        archive_alerts.alert_refusal(error)
        reason, seconds = f"the disk is full: {error}", settings().poll_max_seconds
        raise Wait(reason, seconds, held_by=held.DISK) from None
    except ArchiveError as error:
        if isinstance(error, Contradiction):
            counted = metrics.verification_failures
            counted.labels(attempt.job.account, metrics.CONTRADICTION).inc()
        raise as_job_error(error) from None
    else:
        credentials_accepted(attempt.job.account)


def _handle_provider_error(
    attempt: Attempt, error: ProviderError, *, waits_for_credentials: bool
) -> NoReturn:
    if isinstance(error, provider.Throttled):
        seconds = rest_account(attempt.job.account, error)
        raise Wait(f"the provider asked to wait: {error}", seconds) from None
    if isinstance(error, provider.BadCredentials) and waits_for_credentials:
        raise _credentials_wait(attempt, error) from None
    retried = (provider.Temporary, provider.Uncertain)
    if not isinstance(error, retried) or attempt.past_deadline:
        raise as_job_error(error) from None
    raise Wait(str(error), attempt.next_backoff("troubles")) from None


def rest_account(alias: str, error: provider.Throttled) -> float:
    """Let the whole account rest; return for how many seconds."""
    seconds = THROTTLED_SECONDS if error.retry_after is None else error.retry_after
    ledger().accounts.postpone(alias, seconds, f"the provider asked to wait: {error}")
    return seconds


def _credentials_wait(attempt: Attempt, error: ProviderError) -> Wait:
    # One login per pause for the whole account: many jobs that try at once would lock the user out.
    alias, seconds = attempt.job.account, settings().poll_max_seconds
    reason = f"{REFUSED_CREDENTIALS} of account {alias}: {error}; will retry"
    again = Wait(f"{reason} with the account as it is now", 0, held_by=held.CREDENTIALS)
    if was_corrected(attempt):
        return again
    note_refused(attempt)
    ledger().accounts.postpone(alias, seconds, reason)
    if was_corrected(attempt):
        # The reload that corrected it may have ended the account's pauses before this one began.
        ledger().accounts.resume(alias, because=REFUSED_CREDENTIALS)
        return again
    credentials_refused(alias, reason, attempt.job.job_id)
    return Wait(reason, seconds, held_by=held.CREDENTIALS)


def as_job_error(error: ProviderError | ArchiveError) -> errors.JobError:
    """Return the error that callers see."""
    if isinstance(error, provider.BadCredentials):
        return errors.BadCredentials(f"not done: {error}")
    if isinstance(error, provider.Uncertain):
        return errors.Uncertain(f"unknown: {error}")
    named: list[tuple[type[Exception], type[errors.JobError]]] = [
        (provider.Unreachable, errors.Unreachable),
        (provider.Throttled, errors.Throttled),
        (provider.NotReady, errors.NotReady),
        (provider.Rejected, errors.Rejected),
        (Dangerous, errors.Dangerous),
        (Contradiction, errors.Damaged),
        (Damaged, errors.Damaged),
    ]
    for kind, shown in named:
        if isinstance(error, kind):
            failure = shown(f"not done: {error}")
            failure.contradicts = error.path if isinstance(error, Contradiction) else None
            return failure
    return errors.Uncertain(f"unknown: {error}")
