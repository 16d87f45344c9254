"""What makes files and their names survive a power cut, and tells a full disk apart."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import NoSpace

_FULL = {errno.ENOSPC, errno.EDQUOT}


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create `folder` and what leads to it where absent, and make each name durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


@contextmanager
def full_disk(path: str, meaning: str) -> Iterator[None]:
    """Turn the system's "no space left" and "quota exceeded" into NoSpace(path, meaning)."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(path, meaning) from error
        raise
