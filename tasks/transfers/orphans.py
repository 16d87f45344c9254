"""Files in the spool whose job has ended, or continues in another host's spool."""

from __future__ import annotations

import logging
import re
import time

from config.settings import settings
from ledger.core.job import Job
from ledger.errors import NoSuchJob
from tasks.runtime.context import ledger, spool
from tasks.runtime.resumption import is_held_elsewhere

_log = logging.getLogger(__name__)

#: Names in the spool begin with a word and the id of the job that they belong to.
_OF_JOB = re.compile(r"[a-z]+-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[-~.]")
#: A file that was touched since then may be in use.
_UNTOUCHED_SECONDS = 60.0
#: How often to look, in rounds of the sweeper.
_ROUNDS = 12


class Orphans:
    """Removes the orphans of this process' spool, about once a minute."""

    def __init__(self) -> None:
        self._next = 0.0

    def remove(self) -> None:
        """Remove the files of jobs that have ended, or whose download another spool holds.

        Raises LedgerAway.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _ROUNDS * settings().sweep_seconds
        for path in spool().files(_UNTOUCHED_SECONDS):
            named = _OF_JOB.match(path.name)
            job = None if named is None else _job(named[1])
            if job is None or not (job.ended or is_held_elsewhere(job)):
                continue
            if spool().remove(path):
                why = "has ended" if job.ended else "continues in another spool"
                _log.info("removed %s from the spool: job %s %s", path.name, job.job_id, why)


def _job(job_id: str) -> Job | None:
    """Return the job; None for one that the ledger does not know, which may have been restored."""
    try:
        return ledger().jobs.job(job_id)
    except NoSuchJob:
        return None
