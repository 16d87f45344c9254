"""What reaches callers where something happens that nobody foresaw."""

from __future__ import annotations

import logging

import pytest
from celery.exceptions import Ignore
from redis.exceptions import ConnectionError as RedisAway

from ledger.errors import (
    CapReached,
    LedgerAway,
    LedgerError,
    NoSuchJob,
    NotBegun,
    RequestConflict,
)
from tasks import errors
from tasks.runtime import caller_errors
from tasks.runtime.messages import BROKER_AWAY


def test_what_nobody_foresaw_is_told_by_its_kind_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The caller can build it again and reads none of its arguments; the log has the place. It is
    not the job's outcome: that is told once it is there.
    """
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(errors.Uncertain) as caught,
        caller_errors.only_known_errors(but=BROKER_AWAY),
    ):
        raise UnicodeEncodeError("ascii", "s3cr3t", 0, 1, "x")
    assert str(caught.value).startswith("unknown: unexpected error (UnicodeEncodeError)")
    assert "s3cr3t" not in repr(caught.value.args)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert not caught.value.is_outcome
    assert errors.Uncertain("x").is_outcome
    assert "UnicodeEncodeError" in caplog.text


@pytest.mark.parametrize("known", [errors.Rejected("no"), Ignore(), RedisAway("away")])
def test_what_is_known_passes(known: Exception) -> None:
    """Our own exceptions, Celery's, and of a job that Redis is away: the backend sees to that."""
    with pytest.raises(type(known)) as caught, caller_errors.only_known_errors(but=BROKER_AWAY):
        raise known
    assert caught.value is known


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RequestConflict("a"), errors.RequestConflict),
        (CapReached("b"), errors.CapReached),
        (NoSuchJob("c"), errors.NoSuchJob),
        (LedgerAway("d"), errors.Unreachable),
        (NotBegun("d"), errors.Unreachable),
        (LedgerError("e"), errors.InvalidArgument),
    ],
)
def test_errors_of_the_ledger_have_names_for_callers(
    error: LedgerError, kind: type[errors.JobError]
) -> None:
    """Each under the name that callers know, with its own sentence."""
    assert type(caller_errors.of_ledger(error)) is kind
    assert str(caller_errors.of_ledger(error)) == str(error)
