"""A store that answers for the right archive only.

An empty place (a disk that is not mounted, a mistyped address) answers every question: no file is
there, and everything can be stored. So before the store keeps a file, and whenever it reports a
file as missing, it first checks that the archive is the expected one.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from archive.errors import ArchiveFull, Missing, StoreAway, Unwritable

from .directory import Store
from .protocol import FULL, LARGEST_READ, FileState, Stored

Listed = TypeVar("Listed")

#: Raises StoreAway if a store does not hold the expected archive. The second argument says whether
#: something is about to be stored.
Assure = Callable[[Store, bool], None]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EFBIG,
    errno.EMLINK,
}


class Requests:
    """The requests to the archive that run in this process, to tell those that hang."""

    def __init__(self) -> None:
        #: The thread of each request, and when it began, in monotonic seconds.
        self._running: dict[object, tuple[int, float]] = {}

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note that this thread waits for a request."""
        request = object()
        self._running[request] = threading.get_ident(), time.monotonic()
        try:
            yield
        finally:
            del self._running[request]

    def waiting(self) -> dict[int, float]:
        """Return for how many seconds each thread has waited for a request."""
        now = time.monotonic()
        found: dict[int, float] = {}
        for thread, since in list(self._running.values()):
            found[thread] = max(now - since, found.get(thread, 0.0))
        return found

    def threads_waiting(self, seconds: float) -> set[int]:
        """Return the threads that have waited for a request for longer."""
        limit = time.monotonic() - seconds
        return {thread for thread, since in list(self._running.values()) if since < limit}


requests = Requests()


class Guarded:
    """`store`, as `Store` describes it, once `assure` agrees.

    Errors of the operating system become Unwritable or StoreAway with the place and the reason.
    """

    def __init__(self, store: Store, assure: Assure) -> None:
        self._store = store
        self._assure = assure

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the store, such as a directory's `root`."""
        return getattr(self._store, name)

    @property
    def address(self) -> str:
        """See `Store.address`."""
        return self._store.address

    def keep(
        self,
        path: str,
        source: Path,
        sha256: str,
        on_bytes: Callable[[int], None] | None = None,
        *,
        state: FileState | None = None,
    ) -> Stored:
        """See `Store.keep`."""
        with self._understood(path):
            self._assure(self._store, True)
            return self._store.keep(path, source, sha256, on_bytes, state=state)

    def create(self, path: str, data: bytes) -> Stored:
        """See `Store.create`."""
        with self._understood(path):
            self._assure(self._store, True)
            return self._store.create(path, data)

    def create_all(self, files: Sequence[tuple[str, bytes]]) -> list[Stored | Exception]:
        """See `Store.create_all`."""
        if not files:
            return []
        with self._understood(files[0][0]):
            self._assure(self._store, True)
        with requests.noted():
            outcomes = self._store.create_all(files)
        return [self._outcome(path, one) for (path, _), one in zip(files, outcomes, strict=True)]

    def read(self, path: str, most: int = LARGEST_READ) -> bytes:
        """See `Store.read`."""
        with self._understood(path):
            return self._store.read(path, most)

    def open(self, path: str) -> BinaryIO:
        """See `Store.open`."""
        with self._understood(path):
            return self._store.open(path)

    def size(self, path: str) -> int:
        """See `Store.size`."""
        with self._understood(path):
            return self._store.size(path)

    def exists(self, path: str) -> bool:
        """See `Store.exists`."""
        with self._understood(path):
            if self._store.exists(path):
                return True
            self._assure(self._store, False)
            return False

    def checksum(self, path: str, on_bytes: Callable[[int], None] | None = None) -> Stored:
        """See `Store.checksum`."""
        with self._understood(path):
            return self._store.checksum(path, on_bytes)

    def modified(self, path: str) -> float:
        """See `Store.modified`."""
        with self._understood(path):
            return self._store.modified(path)

    def paths(self, prefix: str = "", *, unlisted: bool = False) -> Iterator[str]:
        """See `Store.paths`."""
        return self._listed(prefix, lambda: self._store.paths(prefix, unlisted=unlisted))

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """See `Store.sizes`."""
        return self._listed(prefix, lambda: self._store.sizes(prefix))

    def gives_names_once(self) -> bool:
        """See `Store.gives_names_once`."""
        with self._understood(""):
            self._assure(self._store, True)
            return self._store.gives_names_once()

    def _listed(self, prefix: str, listing: Callable[[], Iterator[Listed]]) -> Iterator[Listed]:
        with self._understood(prefix):
            yield from listing()
            # Afterwards: if the archive went away meanwhile, the list is too short.
            self._assure(self._store, False)

    def _outcome(self, path: str, outcome: Stored | Exception) -> Stored | Exception:
        if isinstance(outcome, Stored):
            return outcome
        try:
            with self._understood(path):
                raise outcome
        except Exception as error:  # noqa: BLE001 - it is the outcome of this file
            return error

    @contextmanager
    def _understood(self, path: str) -> Iterator[None]:
        try:
            with requests.noted():
                yield
        except Missing:
            self._assure(self._store, False)
            raise
        except FileExistsError:
            raise
        except OSError as error:
            # A folder above it may be missing, and not only the file.
            self._assure(self._store, False)
            raise refusal(self._store.address, path, error) from error


def refusal(address: str, path: str, error: OSError) -> Exception:
    """Return the archive's own error for one of the operating system: ArchiveFull, Unwritable, or
    StoreAway for an error that may pass by itself. The place ends with a slash if a folder should
    be there.
    """
    place = _nearest(Path(error.filename2 or error.filename or Path(address) / path))
    if error.errno == errno.ENOTDIR:
        place += "/"
    why = error.strerror or os.strerror(error.errno or errno.EIO)
    if error.errno in _FULL:
        return ArchiveFull(path, FULL)
    if error.errno in _REFUSED:
        return Unwritable(
            address,
            f"denies access to {place} ({why}); nothing was stored; let the worker read and write "
            "there, and remove any file that has the name of a folder",
            place,
        )
    return StoreAway(address, f"does not answer at {place} ({why}); the work will be retried")


def _nearest(path: Path) -> str:
    """Return the path, or its nearest existing ancestor: the same for every file that a folder
    refuses.
    """
    return str(next((one for one in (path, *path.parents) if os.path.lexists(one)), path))
