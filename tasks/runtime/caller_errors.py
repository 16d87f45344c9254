"""Errors that callers see: only exceptions of ours.

Celery keeps an exception's arguments in Redis and hands the exception to callers, who may lack its
class.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery.exceptions import Ignore, Reject

from ledger.errors import CapReached, LedgerAway, LedgerError, NoSuchJob, RequestConflict
from tasks import errors

_log = logging.getLogger(__name__)

_OF_THE_LEDGER: dict[type[LedgerError], type[errors.JobError]] = {
    RequestConflict: errors.RequestConflict,
    CapReached: errors.CapReached,
    NoSuchJob: errors.NoSuchJob,
    LedgerAway: errors.Unreachable,
}


def of_ledger(error: LedgerError) -> errors.JobError:
    """Return the error that callers see for an error of the ledger."""
    found = (_OF_THE_LEDGER[one] for one in type(error).__mro__ if one in _OF_THE_LEDGER)
    return next(found, errors.InvalidArgument)(str(error))


@contextmanager
def only_known_errors(*, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Replace an unforeseen exception by Uncertain, which names only the exception's class.

    The log has the whole exception. Exceptions in ``but`` pass unchanged. The replacement is not
    the job's outcome.
    """
    try:
        yield
    except (errors.JobError, Ignore, Reject, *but):
        raise
    except Exception as error:  # noqa: BLE001 - logged; its own text may hold anything
        _log.exception("a task failed unexpectedly")
        failure = errors.Uncertain(
            f"unknown: unexpected error ({type(error).__name__}); see the worker's log; it is safe "
            "to send the same request id again"
        )
        failure.is_outcome = False
        raise failure from None
