"""Small files that are stored together: each appears complete or not at all, and the disk is waited
for as seldom as possible.

All of them are written before the first is flushed, so that its flush brings the others along; all
names in a folder are flushed at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from archive.errors import ArchiveFull

from .fsync import flush_folder, full_disk, make_folder
from .protocol import FULL, Stored


class _Draft:
    """A file on its way to its path, and what has kept it from there."""

    __slots__ = ("data", "failure", "file", "is_taken", "path", "target", "temporary")

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.target = self.temporary = ""
        self.file: int | None = None
        self.is_taken = False
        self.failure: Exception | None = None

    def attempt(self, step: Callable[[_Draft], None]) -> None:
        """Take a step unless an earlier one has failed; keep its error."""
        if self.failure is not None:
            return
        try:
            with full_disk(self.path, FULL, ArchiveFull):
                step(self)
        except Exception as error:  # noqa: BLE001 - it is the outcome of this file
            self.failure = error

    @property
    def outcome(self) -> Stored | Exception:
        """The stored file, or why it is not stored."""
        if self.failure is not None:
            return self.failure
        if self.is_taken:
            return FileExistsError(errno.EEXIST, "already in the archive", self.path)
        return Stored(self.path, len(self.data), hashlib.sha256(self.data).hexdigest())


def create_all(
    files: Iterable[tuple[str, bytes]],
    root: Path,
    place: Callable[[str], str],
    prepare: Callable[[], None],
    temporary: Callable[[], str],
) -> list[Stored | Exception]:
    """Store files, each under its path below ``root`` if that is free; see `Store.create_all`.

    ``place`` returns the full name of a path, and ``temporary`` a name that nobody else uses, in a
    folder that ``prepare`` makes.
    """

    def locate(draft: _Draft) -> None:
        draft.target = place(draft.path)

    def write(draft: _Draft) -> None:
        name = temporary()
        draft.file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        draft.temporary = name
        left = memoryview(draft.data)
        while left:
            left = left[os.write(draft.file, left) :]

    drafts = [_Draft(path, data) for path, data in files]
    try:
        _each(drafts, locate)
        _once(drafts, prepare)
        _each(drafts, write)
        _each(drafts, _flush)
        by_folder: dict[str, list[_Draft]] = {}
        for draft in drafts:
            by_folder.setdefault(os.path.dirname(draft.target), []).append(draft)  # noqa: PTH120
        for folder, inside in by_folder.items():
            _name(Path(folder), inside, root)
    finally:
        for draft in drafts:
            _clear(draft)
    return [draft.outcome for draft in drafts]


def _flush(draft: _Draft) -> None:
    assert draft.file is not None
    os.fsync(draft.file)
    descriptor, draft.file = draft.file, None
    os.close(descriptor)


def _name(folder: Path, drafts: Sequence[_Draft], root: Path) -> None:
    """Give the files of one folder their names, durably. A name that is taken is durable then."""

    def link(draft: _Draft) -> None:
        try:
            os.link(draft.temporary, draft.target)
        except FileExistsError:
            draft.is_taken = True

    _once(drafts, lambda: make_folder(folder, root))
    _each(drafts, link)
    _once(drafts, lambda: flush_folder(folder))


def _each(drafts: Sequence[_Draft], step: Callable[[_Draft], None]) -> None:
    for draft in drafts:
        draft.attempt(step)


def _once(drafts: Sequence[_Draft], step: Callable[[], None]) -> None:
    """Take a step once for all files that have not failed; each of them fails with it."""
    if all(draft.failure is not None for draft in drafts):
        return
    try:
        step()
    except Exception as error:  # noqa: BLE001 - it is the outcome of these files
        failure = error

        def fail(_draft: _Draft) -> None:
            raise failure

        _each(drafts, fail)


def _clear(draft: _Draft) -> None:
    with suppress(OSError):
        if draft.file is not None:
            os.close(draft.file)
    with suppress(OSError):
        if draft.temporary:
            os.unlink(draft.temporary)  # noqa: PTH108
