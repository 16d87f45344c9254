"""Single recordings of a run, fetched in bounded batches on the queue of the transfers.

A run opens batches as its parts and waits for them. Each batch takes one slot for transfers, and
notes every recording before it begins the next: what it has kept is not read or fetched again,
however often it waits or changes its worker.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import astuple
from datetime import date, datetime
from itertools import islice
from typing import Any

from archive.errors import Contradiction, Damaged, Dangerous
from archive.reconciliation import Reconciliation
from archive.store.directory import Stored
from config.queues import DOWNLOADS
from ledger.core import states
from ledger.core.job import Job
from ledger.core.opening import Request
from providers.errors import BadCredentials, Rejected, Uncertain
from providers.interface import ListsRecordings
from tasks import errors
from tasks.runtime.client import client
from tasks.runtime.context import account, ledger
from tasks.runtime.error_policy import apply_error_policy
from tasks.runtime.runner import Attempt, Ended
from tasks.transfers.single_recording import keep_listed

from . import runs

KIND = "recording.batch"
_log = logging.getLogger(__name__)

#: Recordings in one batch: few enough for one row, enough to make good use of a slot.
BATCH_SIZE = 50
#: Batches that a run opens at once. The next ones follow when the last of these has ended.
MOST_BATCHES = 20
#: How often one attempt requests a recording that arrives damaged or not at all.
_TRIES = 3
#: How many refused recordings the reason of a run's end names.
_MOST_NAMED = 3


def opened(attempt: Attempt) -> int:
    """Return how many batches the run has opened so far."""
    return int(attempt.job.work.get("batches", 0))


def next_requests(attempt: Attempt, reconciliation: Reconciliation) -> list[Request]:
    """Return the requests of the next batches of what is missing, at most `MOST_BATCHES`; none
    if every missing recording was requested.
    """
    missing = islice(reconciliation.missing(), BATCH_SIZE * MOST_BATCHES)
    numbered = enumerate(_batched(missing), start=opened(attempt) + 1)
    return [_request(attempt.job, number, lines) for number, lines in numbered]


def note_opened(attempt: Attempt, requests: list[Request]) -> None:
    """Count batches that the run's next state opens, right before it is written."""
    attempt.job.work["batches"] = opened(attempt) + len(requests)


def place(attempt: Attempt, reconciliation: Reconciliation, *, after: int) -> None:
    """Add what the run's batches have fetched, except the first ``after`` of them. Recordings that
    they could not fetch stay missing, and the reason is noted.

    Raises Contradiction, and the JobError with which a batch failed.
    """
    for number in range(after + 1, opened(attempt) + 1):
        batch = ledger().jobs.job(_named(attempt.job, number).job_id)
        _raise_failure(batch)
        kept = batch.work.get("kept", [])
        for recording_id, *stored in kept:
            reconciliation.fetched(recording_id, Stored(*stored))
        for recording_id in {*batch.parameters["recording_ids"]} - {one[0] for one in kept}:
            reconciliation.gave_up(recording_id)
        for reason in _reasons(batch):
            _name_refused(attempt, reason)


def fetch(attempt: Attempt) -> Ended:
    """Fetch the recordings of a batch, one after the other: ``{recordings, archived, missing}``.
    What the provider will not give stays missing.
    """
    work = attempt.job.work
    with (
        apply_error_policy(attempt, waits_for_credentials=True),
        client(attempt, ListsRecordings) as provider,
    ):
        while work["left"]:
            attempt.check()
            attempt.lease.transfer = None
            _fetch_next(attempt, provider)
    archived, missing = len(work["kept"]), len(work["gaps"])
    return Ended({"recordings": archived + missing, "archived": archived, "missing": missing})


def _batched(lines: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(lines, BATCH_SIZE)):
        yield batch


def _named(job: Job, number: int, **more: Any) -> Request:
    """Return the request of a run's batch; the batch's id follows from it."""
    given = {"parameters": {}, "queue": DOWNLOADS, **more}
    return Request(kind=KIND, account=job.account, request_id=f"{job.job_id}/{number}", **given)


def _request(job: Job, number: int, lines: list[dict[str, Any]]) -> Request:
    zone = account(job.account).zone
    left = [[_day(job, line, zone).isoformat(), line] for line in lines]
    return _named(
        job,
        number,
        parameters={"recording_ids": [line["id"] for line in lines]},
        parent_id=job.job_id,
        work={"left": left, "kept": [], "gaps": [], "day": job.day},
    )


def _day(job: Job, line: dict[str, Any], zone: str) -> date:
    """Return the day under which the archive keeps a listed recording."""
    return runs.recording_day(job.parameters, datetime.fromisoformat(line["start"]), zone)


def _raise_failure(batch: Job) -> None:
    """Raise the error of a failed batch: it fails the run too."""
    if batch.state != states.FAILED:
        return
    if "contradiction" in batch.work:
        raise Contradiction(*batch.work["contradiction"])
    raise errors.replayed(batch.error)


def _reasons(batch: Job) -> Iterator[str]:
    """Yield why recordings of a batch are not in the archive."""
    for _, reason in batch.work.get("gaps", []):
        yield reason
    if batch.state == states.CANCELLED:
        yield f"batch {batch.job_id}: {batch.reason}"


def _name_refused(attempt: Attempt, reason: str) -> None:
    """Remember why a recording is not in the archive, for the reason of the run's end."""
    refused = attempt.job.work.setdefault("refused", [])
    if reason not in refused and len(refused) < _MOST_NAMED:
        refused.append(reason)


def _fetch_next(attempt: Attempt, provider: ListsRecordings) -> None:
    """Fetch the first recording that is left, and note the result."""
    work = attempt.job.work
    (day, line), *left = work["left"]
    try:
        found = _fetched(attempt, provider, line, date.fromisoformat(day))
    except Contradiction as error:
        # The run opens the alert.
        attempt.note(contradiction=[error.path, error.reason])
        raise errors.Damaged(f"not done: {error}") from None
    if isinstance(found, Stored):
        attempt.note(
            left=left,
            kept=[*work["kept"], [line["id"], *astuple(found)]],
            bytes=work.get("bytes", 0) + found.bytes,
        )
    else:
        attempt.note(left=left, gaps=[*work["gaps"], [line["id"], found]])


def _fetched(
    attempt: Attempt, provider: ListsRecordings, line: dict[str, Any], day: date
) -> Stored | str:
    """Return the stored audio of a recording, or why it cannot be fetched."""
    reason = ""
    for _ in range(_TRIES):
        try:
            return keep_listed(attempt, provider, line, day)[0]
        except (BadCredentials, Contradiction):
            raise
        except Rejected as error:
            _log.warning("recording %s cannot be fetched: %s", line["id"], error)
            return str(error)
        except (Damaged, Dangerous, Uncertain) as error:
            _log.warning("recording %s arrived damaged or incomplete: %s", line["id"], error)
            reason = str(error)
    return reason
