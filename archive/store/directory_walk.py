"""The walk through a directory, in the order of the paths."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from .protocol import INCOMING

#: Folders at the root that are not part of an archive. lost+found belongs to the filesystem, and
#: only its administrator may list it.
_NOT_OURS = {f"{INCOMING}/", "lost+found/"}


def walk(root: Path, folder: str, prefix: str, *, unlisted: bool) -> Iterator[str]:
    """Yield every path below `folder` that begins with `prefix`, from `root`, sorted as strings
    are.

    The walk keeps a stack of its own, level by level: folders may be nested deeper than calls can
    be. The names of one folder of each level are held in memory. Parameters: `unlisted`, whether a
    folder that cannot be listed is yielded as a path itself; otherwise it raises OSError, as the
    root always does.
    """
    names = _names(root, folder, unlisted=unlisted and folder != "")
    if names is None:
        yield folder
        return
    levels = [(folder, names)]
    while levels:
        folder, names = levels[-1]
        if not names:
            levels.pop()
            continue
        name = names.pop()
        path = f"{folder}/{name}" if folder else name
        if path in _NOT_OURS:
            continue
        if not name.endswith("/"):
            if path.startswith(prefix):
                yield path
        elif path.startswith(prefix) or prefix.startswith(path):
            within = _names(root, path[:-1], unlisted=unlisted)
            if within is None:
                yield path[:-1]
            else:
                levels.append((path[:-1], within))


def _names(root: Path, folder: str, *, unlisted: bool) -> list[str] | None:
    """Return the names in a folder, in reverse order, with a slash after folders; None if the
    folder cannot be listed and may be `unlisted`.
    """
    try:
        with os.scandir(root / folder) as entries:
            return sorted(
                (
                    entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                    for entry in entries
                ),
                reverse=True,
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if unlisted:
            return None
        if error.errno == errno.ENAMETOOLONG:
            return []  # no file of an archive lies so deep
        raise
