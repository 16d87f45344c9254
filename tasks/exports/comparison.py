"""A run's comparison, kept in the spool until the run ends.

It is a convenience. If it is gone or altered, or if the run continues on another host, the
provider's list and the archive are read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.reconciliation import Reconciliation
from tasks.runtime.context import spool
from tasks.runtime.runner import Attempt

#: In a run's work: the file's name, its SHA-256, and the number of batches that it knows.
_WORK = "comparison"


@contextmanager
def scratch(attempt: Attempt, saved: Path | None = None) -> Iterator[Reconciliation]:
    """Open the reconciliation of a job in a scratch file of the spool: an empty one, or a copy of
    the one in ``saved``.
    """
    path = spool().scratch(f"reconciliation-{attempt.job.job_id}")
    try:
        with Reconciliation(path, saved) as reconciliation:
            yield reconciliation
    finally:
        path.unlink(missing_ok=True)


def kept(attempt: Attempt) -> Path | None:
    """Return the file with the run's comparison; None if there is none, or if it is damaged."""
    known = attempt.job.work.get(_WORK)
    if known is None:
        return None
    path = spool().directory / known["file"]
    try:
        return path if _sha256(path) == known["sha256"] else None
    except OSError:
        return None


def batches_known(attempt: Attempt) -> int:
    """Return how many of the run's batches are in the kept comparison."""
    return int(attempt.job.work[_WORK]["batches"])


def keep(attempt: Attempt, reconciliation: Reconciliation, *, batches: int) -> Path:
    """Keep a comparison that includes so many batches, replacing the earlier one; return its file.
    Nothing can be added to ``reconciliation`` afterwards.
    """
    path = spool().scratch(f"comparison-{attempt.job.job_id}")
    reconciliation.save(path)
    forget(attempt)
    attempt.note(**{_WORK: {"file": path.name, "sha256": _sha256(path), "batches": batches}})
    return path


def forget(attempt: Attempt) -> None:
    """Remove the kept comparison, if there is one."""
    known = attempt.job.work.pop(_WORK, None)
    if known is not None:
        (spool().directory / known["file"]).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
