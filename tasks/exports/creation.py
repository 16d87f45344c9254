"""Create an export at the provider, even if an earlier try may have created it.

A provider may have no idempotency key and no list of its exports. A second export does no harm, so
after an unknown outcome it is created again, later, a limited number of times. The parts belong to
the answer that was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.core.job import iso
from providers.errors import Uncertain
from providers.interface import ExportsInBulk, Window
from tasks import errors
from tasks.runtime.runner import Attempt, Wait

from .runs import ExportRequest

#: How many seconds to wait after an unknown outcome, so that its export may end before another one
#: is requested.
AGAIN_SECONDS = 15 * 60
MOST_CREATIONS = 3


def create(attempt: Attempt, provider: ExportsInBulk, request: ExportRequest) -> list[str]:
    """Create an export of what is requested; return the provider's ids, which may be none.

    If that takes several exports, those that were created are not created again. Raises Wait after
    an unknown outcome, errors.Uncertain after the third, and what the client raises if certainly
    nothing was created.
    """
    work = attempt.job.work
    created: list[list[str]] = work.get("created", [])
    for number in range(len(created), provider.exports):
        created = [*created, _created(attempt, provider, request, number)]
        # Stored with the next note: that of the next export, or of the run.
        work.update(created=created)
        if len(created) < provider.exports:
            work.update(creations=0)
    work.pop("created", None)
    return [one for ids in created for one in ids]


def exported(
    provider: ExportsInBulk, filters: Mapping[str, Any], window: Window | None, number: int
) -> list[str]:
    """Create one of the provider's `exports`; return its ids."""
    if provider.exports == 1:
        return provider.export(filters, window=window)
    return provider.export(filters, window=window, number=number)


def _created(
    attempt: Attempt, provider: ExportsInBulk, request: ExportRequest, number: int
) -> list[str]:
    work = attempt.job.work
    if work.get("creating_at"):
        _wait_out(attempt, float(work["creating_at"]))
    creations = int(work.get("creations", 0)) + 1
    if creations > MOST_CREATIONS:
        raise errors.Uncertain(
            f"unknown: {MOST_CREATIONS} exports were requested and no answer could be read; the "
            "provider may hold exports that no job knows; retry the job later"
        )
    # Noted before the request leaves: a worker that takes over after a crash treats the creation as
    # an unknown outcome.
    attempt.note(creating_at=attempt.job.updated_at, creations=creations)
    try:
        ids = exported(provider, request.filters, request.window, number)
    except Uncertain as error:
        raise Wait(
            f"it is unknown whether the export was created ({error}); will create it again at "
            f"{iso(attempt.job.updated_at + AGAIN_SECONDS)}",
            AGAIN_SECONDS,
        ) from None
    except Exception:
        # Nothing was created: the provider refused, was not reached, or was not asked yet because
        # the account rests or this worker is stopping.
        attempt.job.work.update(creating_at=None, creations=creations - 1)
        raise
    work.update(creating_at=None)
    return ids


def _wait_out(attempt: Attempt, creating_at: float) -> None:
    # Both times are the ledger's: that of the earlier claim, and that of this one.
    left = creating_at + AGAIN_SECONDS - attempt.job.updated_at
    if left > 0:
        raise Wait(
            "a worker stopped while it created the export; will create it again at "
            f"{iso(creating_at + AGAIN_SECONDS)}",
            left,
        )
