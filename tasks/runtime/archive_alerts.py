"""Alerts about the archive as a whole: missing, refusing writes, or full."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from archive.errors import ArchiveError, ArchiveFull, StoreAway, StoreRefused, Unwritable, Vanished
from archive.store.directory import Store
from archive.store.guarded import refusal
from config.settings import settings
from ledger.alerts import ARCHIVE, EVERY_ACCOUNT, Alert
from ledger.errors import LedgerError

from .context import ledger

_log = logging.getLogger(__name__)

#: The archive is not the one that the ledger vouches for.
VANISHED = f"{ARCHIVE}:vanished"
#: The archive's disk is full.
FULL = f"{ARCHIVE}:full"
#: A place refuses writes; the place's name follows.
REFUSED = f"{ARCHIVE}:refused:"
_JOBS_WAIT = "jobs that need it wait and continue automatically; certified calls are still placed"
#: A disk still counts as full while it has less free space than this, or than a twentieth of its
#: size if that is less.
_ROOM_BYTES = 64 * 1_048_576


def alert_refusal(error: BaseException) -> None:
    """Open an alert for an archive error that needs a person; ignore other errors."""
    found = _alert(error)
    if found is not None:
        _open(found)


def _open(found: Alert) -> None:
    try:
        ledger().alerts.open(found)
    except LedgerError as failure:
        _log.warning("could not open an alert (%s): %s", found.message, failure)


def alert_spool_refusal(error: OSError) -> None:
    """Open an alert that the spool, or another local folder, refuses to be used."""
    found = refusal(str(settings().spool_dir), "", error)
    if isinstance(found, Unwritable):
        message = f"{found.place} cannot be used ({error.strerror}); {_JOBS_WAIT}"
        _open(Alert(f"{REFUSED}{found.place}", ARCHIVE, EVERY_ACCOUNT, message))


def vanished(error: StoreAway) -> Alert:
    """Return the alert that the archive is not the one that the ledger vouches for."""
    return Alert(VANISHED, ARCHIVE, EVERY_ACCOUNT, f"{error}; {_JOBS_WAIT}")


def close_mended(store: Store) -> None:
    """Close the alerts of an archive that was gone, of places that take writes again, and of a disk
    that has room again. The archive must have been found to be there.
    """
    causes = [one["cause"] for one in ledger().alerts.all_open() if one["kind"] == ARCHIVE]
    for cause in causes:
        refused_at = cause.removeprefix(REFUSED)
        is_over = cause == VANISHED or (cause == FULL and _has_room(store))
        is_over |= cause != refused_at and _takes_files(refused_at, store)
        if is_over:
            ledger().alerts.close(cause)


def _alert(error: BaseException) -> Alert | None:
    if isinstance(error, Vanished):
        return vanished(error)
    if isinstance(error, ArchiveFull):
        return Alert(FULL, ARCHIVE, EVERY_ACCOUNT, f"{error}; {_JOBS_WAIT}")
    if isinstance(error, Unwritable):
        return Alert(f"{REFUSED}{error.place}", ARCHIVE, EVERY_ACCOUNT, f"{error}; {_JOBS_WAIT}")
    if isinstance(error, StoreRefused):
        return Alert(f"{REFUSED}{error.address}", ARCHIVE, EVERY_ACCOUNT, f"{error}; {_JOBS_WAIT}")
    return None


def _takes_files(place: str, store: Store) -> bool:
    """Return whether a folder takes files again, or a bucket a trial write."""
    if "://" in place:
        try:
            return store.gives_names_once()
        except (ArchiveError, StoreAway, OSError):
            return False
    path = Path(place)
    nearest = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if nearest.is_dir():
        return os.access(nearest, os.R_OK | os.W_OK | os.X_OK)
    # A file counts only if it lies at the very path, is readable, and no folder is expected there.
    return nearest == path and not place.endswith("/") and os.access(nearest, os.R_OK)


def _has_room(store: Store) -> bool:
    """Return whether the archive takes a file again and its disk has some room."""
    try:
        if "://" not in store.address:
            disk = shutil.disk_usage(store.address)
            if disk.free < min(_ROOM_BYTES, disk.total // 20):
                return False
        return store.gives_names_once()
    except (ArchiveError, StoreAway, OSError):
        return False
