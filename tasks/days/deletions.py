"""The jobs that delete an archived day at the provider: one for each generation of the day."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date

from config.queues import DOWNLOADS
from ledger.core.job import Job
from ledger.core.opening import Request
from tasks.runtime.context import ledger

_KIND = "recording.delete"


def of_day(alias: str, day: date, generation: int) -> Request:
    """Return the request to delete the recordings that a generation of a day lists."""
    return Request(
        kind=_KIND,
        account=alias,
        request_id=_request_id(day, generation),
        parameters={"day": day.isoformat(), "generation": generation},
        queue=DOWNLOADS,
    )


def is_of_day(job: Job) -> bool:
    """Return whether a job deletes a whole day, not one recording."""
    return "recording_id" not in job.parameters


def before(job: Job) -> Iterator[Job]:
    """Yield the jobs of the same day that were opened before this one: of earlier generations, and
    those that this one repeats.
    """
    day = date.fromisoformat(job.parameters["day"])
    for generation in range(1, job.parameters["generation"] + 1):
        first = _request_id(day, generation)
        for number in itertools.count(1):
            request_id = first if number == 1 else f"{first}#{number}"
            found = ledger().jobs.opened(job.account, _KIND, request_id)
            if found is None or found.job_id == job.job_id:
                break
            yield found


def of_recording(alias: str, day: str, recording_id: str) -> Job | None:
    """Return the job that an older release has opened for a recording of a day, or None."""
    return ledger().jobs.opened(alias, _KIND, f"day:{day}/{recording_id}")


def _request_id(day: date, generation: int) -> str:
    return f"deletions:{day.isoformat()}/{generation}"
