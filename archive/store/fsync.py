"""Making files and their names survive a power cut, and detecting a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.errors import NoSpace

_FULL = {errno.ENOSPC, errno.EDQUOT}
#: Folders of archives whose names this process has made durable.
_durable: set[Path] = set()


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
