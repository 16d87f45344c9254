"""Create an export at the provider, also where an earlier try may have created it.

A provider may have no idempotency key and no list of its exports. A second export does no harm, so
after an unknown outcome it is created again, later, a limited number of times. The parts belong to
the answer that was stored.
"""

from __future__ import annotations

from ledger.core.job import iso
from providers.errors import Uncertain
from providers.interface import ExportsInBulk
from tasks import errors
from tasks.runtime.runner import Attempt, Wait

from .runs import Asked

#: How many seconds to wait after an unknown outcome, so that its export may end before another one
#: is requested.
AGAIN_SECONDS = 15 * 60
MOST_CREATIONS = 3


def create(attempt: Attempt, provider: ExportsInBulk, asked: Asked) -> list[str]:
    """The provider's ids of a new export of what is asked for; may be empty.

    Raises Wait after an unknown outcome, errors.Uncertain after the third, and what the client
    raises where surely nothing was created.
    """
    work = attempt.job.work
    if work.get("creating_at"):
        _wait_out(attempt, float(work["creating_at"]))
    creations = int(work.get("creations", 0)) + 1
    if creations > MOST_CREATIONS:
        raise errors.Uncertain(
            f"unknown: {MOST_CREATIONS} exports were asked for and no answer could be read; "
            "exports without an owner may lie at the provider; retry the job later"
        )
    # Noted before the request leaves: a worker that takes over after a crash treats the creation as
    # an unknown outcome.
    attempt.note(creating_at=attempt.job.updated_at, creations=creations)
    try:
        ids = provider.export(asked.filters, window=asked.window)
    except Uncertain as error:
        raise Wait(
            f"it is unknown whether the export was created ({error}); created again at "
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
            "a worker stopped while it created the export; created again at "
            f"{iso(creating_at + AGAIN_SECONDS)}",
            left,
        )
