"""Making files and their names survive a power cut, and detecting a full disk."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archive.errors import NoSpace

#: Linux: begin to write the range's changed pages, and do not wait for them.
_SYNC_FILE_RANGE_WRITE = 2
#: A file of so many bytes is not kept in the system's memory.
_LARGE = 64 * 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT}
#: Folders of archives whose names this process has made durable.
_durable: set[Path] = set()


def flush(path: Path, kind: int = 0) -> None:
    """Make the bytes of a file durable. ``kind`` are further flags to open it with."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | kind)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    flush(folder, os.O_DIRECTORY)


def begin_flush(file: int, start: int, end: int) -> None:
    """Have the system begin to write these bytes of an open file to the disk, so that a later fsync
    takes less time. This makes nothing durable and reports no error: only the fsync does.
    """
    sync_file_range = _sync_file_range()
    if sync_file_range is not None:
        sync_file_range(file, start, end - start, _SYNC_FILE_RANGE_WRITE)


def leave_cache(file: int, size: int) -> None:
    """Let the system use the memory that holds the bytes of an open, flushed file for other things.

    A worker reads an archived ZIP seldom. Its bytes would crowd out the ledger's, and count as the
    worker's own memory in a container. Small files stay, as does everything where the system cannot
    do it.
    """
    if size >= _LARGE and hasattr(os, "posix_fadvise"):
        with suppress(OSError):  # it is only advice
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Return the system's own call, which Python does not offer; None where there is none."""
    try:
        call = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call


def replace_text(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file as a whole in place of an older one: a reader sees the old text or the new.

    ``mode`` are the new file's rights, less the umask. Raises OSError; the older file then
    stays. The new name may not survive a power cut where the system cannot flush the folder.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(file, "w", encoding="utf-8", newline="") as written:  # noqa: PTH123 - it is open
            written.write(text)
            written.flush()
            os.fsync(file)
        unfinished.replace(path)
        with suppress(OSError):  # some shares refuse it; the new file is in place
            flush_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def make_folder(folder: Path, below: Path | None = None) -> None:
    """Create `folder` and its missing parents, and make each name durable.

    The creator of an existing folder may have been killed before the name was durable, so each
    process makes the names `below` a folder durable once. That folder itself is never created: if
    it is missing, its disk is no longer mounted. Raises OSError.
    """
    is_below = below is not None and below in folder.parents
    if folder.is_dir() and (folder in _durable or not is_below):
        return
    if folder == below:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    make_folder(folder.parent, below)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    flush_folder(folder.parent)
    if is_below:
        _durable.add(folder)


@contextmanager
def full_disk(path: str, meaning: str, kind: type[NoSpace] = NoSpace) -> Iterator[None]:
    """Turn the system's "no space left" and "quota exceeded" into NoSpace(path, meaning), or into
    another ``kind`` of it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise kind(path, meaning) from error
        raise
