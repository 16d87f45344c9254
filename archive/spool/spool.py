"""The spool: unfinished downloads, kept so that a later worker can continue them.

Only the process that holds a file's lock writes to the file. A lock belongs to an open file and not
to a name. So a worker that was paused and wakes up writes into its old file, while its successor
writes into a file of its own.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archive.store.fsync import flush, flush_folder, full_disk, make_folder

from .partial_download import PartialDownload, remove

#: The folder of refused files that may still be recordings.
REFUSED = "refused"
#: The size limit of that folder if the reserve is smaller.
_LEAST_REFUSED_BYTES = 256 * 1024 * 1024

#: The folder with the file of the spool's identity, where nothing is swept.
_IDENTITY = "identity"

_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,200}")


class Spool:
    """The directory of unfinished downloads. Any number of processes may share it."""

    def __init__(self, directory: Path, reserve_bytes: int) -> None:
        """Use `directory`, on whose disk `reserve_bytes` must stay free."""
        self.directory = directory
        self.reserve_bytes = reserve_bytes

    def identity(self) -> str | None:
        """Return the spool's own id, by which a job names the spool that holds its download; None
        if the spool cannot be written.
        """
        path = self.directory / _IDENTITY / "id"
        with suppress(OSError):
            if not path.exists():
                make_folder(path.parent)
                fresh = path.with_name(secrets.token_hex(8))
                fresh.write_text(secrets.token_hex(16), encoding="ascii")
                with suppress(FileExistsError):
                    os.link(fresh, path)
                fresh.unlink()
            return path.read_text(encoding="ascii").strip() or None
        return None

    def files(self, untouched_seconds: float) -> list[Path]:
        """Return the unfinished downloads and temporary files untouched for that long."""
        found = []
        for path in self.directory.glob("*"):
            with suppress(FileNotFoundError):
                if path.is_file() and time.time() - path.stat().st_mtime > untouched_seconds:
                    found.append(path)
        return sorted(found)

    @staticmethod
    def remove(path: Path) -> int:
        """Remove one of `files`, with its validator if it is a part, unless a process holds it;
        return the number of removed files.
        """
        with suppress(FileNotFoundError):
            return _sweep(path)
        return 0

    @contextmanager
    def part(
        self, name: str, on_bytes: Callable[[int], None] | None = None
    ) -> Iterator[PartialDownload]:
        """Open the unfinished download of that name, locked for this caller; its bytes stay at the
        end.

        If another process holds the longest part of the name, or if that part is a file of the
        archive already, the caller gets a new part with a copy of the bytes held. If the caller
        discards its part, the name's other parts are removed too, unless a process holds them.

        Parameters: `name` of letters, digits, `.`, `_`, `-`; `on_bytes`, called with the number of
        bytes after every piece of the held bytes that was read. Raises NoSpace.
        """
        _check(name)
        make_folder(self.directory)
        path, lock = self._longest(name)
        other = None
        if lock is None:
            other = path
        while lock is None:  # a process that removes parts can lock a new one first
            path = self.directory / f"{name}~{secrets.token_hex(8)}.part"
            lock = _lock(path, create=True)
        try:
            part = PartialDownload(path, name, self.reserve_bytes)
            try:
                if other:
                    part.take_over(other, on_bytes)
                else:
                    part.resume(on_bytes)
                try:
                    yield part
                finally:
                    with suppress(OSError):  # a sweep removes them later
                        if not path.exists():
                            self._remove_parts(name)
            finally:
                part.close()
        finally:
            os.close(lock)

    def scratch(self, name: str) -> Path:
        """Return a new path for a temporary file, which the caller removes."""
        _check(name)
        make_folder(self.directory)
        return self.directory / f"{name}~{secrets.token_hex(8)}.scratch"

    @property
    def refused(self) -> Path:
        """The folder of files that were set aside."""
        return self.directory / REFUSED

    def set_aside(self, source: Path, name: str, sha256: str, ending: str) -> Path | None:
        """Move a refused file to a place where people find it and no `sweep` removes it.

        Parameters: `source`, in the spool; `name` and `ending` of letters, digits, `.`, `_`, `-`,
        `~`; `sha256` in hex: the same bytes are kept once. All such files together may have as many
        bytes as the reserve, or 256 MiB if that is more.

        Returns the file's path; None if there is no room, and then nothing was moved.
        """
        target = self.refused / f"{name}.{sha256[:16]}.{ending}"
        with full_disk(name, "the disk is full; the refused file was not set aside"):
            make_folder(self.refused)
            if target.exists():
                return target
            held = sum(_size(path) for path in self.refused.iterdir())
            if held + _size(source) > max(self.reserve_bytes, _LEAST_REFUSED_BYTES):
                return None
            flush(source)
            source.rename(target)
            flush_folder(self.refused)
        return target

    def drop_set_aside(self, name: str) -> None:
        """Remove the files that were set aside under a name, because a whole file arrived after
        all.
        """
        for path in self.refused.glob(f"{name}.{'[0-9a-f]' * 16}.*"):
            path.unlink(missing_ok=True)

    def set_aside_files(self) -> list[Path]:
        """Return the files that were set aside, oldest first."""
        with suppress(FileNotFoundError):
            return sorted(self.refused.iterdir(), key=lambda path: path.stat().st_mtime)
        return []

    def sweep_refused(self, older_than_seconds: float) -> int:
        """Remove files that were set aside so long ago; return their number."""
        removed = 0
        for path in self.set_aside_files():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > older_than_seconds:
                    path.unlink()
                    removed += 1
        return removed

    def sweep(self, older_than_seconds: float) -> int:
        """Remove files untouched for that long which no process holds; return their number."""
        return sum(self.remove(path) for path in self.files(older_than_seconds))

    def _parts(self, name: str) -> list[Path]:
        """Return where the parts of the name are: the first part, which may not exist, and those
        that were made because it was in use.
        """
        return [self.directory / f"{name}.part", *self.directory.glob(f"{name}~*.part")]

    def _remove_parts(self, name: str) -> None:
        for path in self._parts(name):
            self.remove(path)

    def _longest(self, name: str) -> tuple[Path, int | None]:
        """Return the longest part of the name, with its lock if the part may be written."""
        first, *others = self._parts(name)
        parts = sorted([first, *others], key=_size, reverse=True)
        lock = _lock(parts[0], create=parts[0] == first)
        if lock is None:
            return parts[0], None
        if os.fstat(lock).st_nlink > 1:
            os.close(lock)
            return parts[0], None
        os.fchmod(lock, os.fstat(lock).st_mode | 0o200)
        return parts[0], lock


def _lock(path: Path, *, create: bool) -> int | None:
    """Return an open file that holds the lock of `path`; None if another process holds it, or
    `path` is gone.
    """
    while True:
        try:
            lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o666)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        os.close(lock)


def _sweep(path: Path) -> int:
    """Remove one old file, with its validator if it is a part, unless another process holds it."""
    if path.suffix == ".json" and path.with_suffix(".part").exists():
        return 0
    if path.suffix != ".part":
        path.unlink()
        return 1
    lock = _lock(path, create=False)
    if lock is None:
        return 0
    try:
        return remove(path)
    finally:
        os.close(lock)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a name in the spool")
