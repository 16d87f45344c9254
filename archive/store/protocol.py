"""The operations of every store, a directory or a bucket."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from archive.errors import Contradiction, Damaged, Dangerous

PIECE = 1024 * 1024
#: The most that is read into memory as one file.
LARGEST_READ = 256 * 1024 * 1024
#: The meaning of a full disk, for people.
FULL = "the archive's disk is full; nothing was stored; free some space"
#: The most files that are stored together: each is held open until its bytes are durable.
MOST_TOGETHER = 32
#: A folder for files that are not part of the archive: it is never listed among the paths.
INCOMING = ".incoming"

_LEADS_ELSEWHERE = {"", ".", ".."}


@dataclass(frozen=True)
class Stored:
    """A stored file: its posix path from the archive's root, its size, its SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class FileState:
    """A file at one moment: while its state is the same, nobody has changed it since.

    `changed_ns` also changes with the file's names and rights, which leave its bytes alone; unlike
    `modified_ns` it cannot be set.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, file: int | Path) -> FileState:
        """Return the state of a file, open or at a path."""
        found = os.stat(file)  # noqa: PTH116 - a Path has none for an open file
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def is_only_renamed(self, later: FileState) -> bool:
        """Return whether a later state is that of the same file, whose names or rights alone may
        have changed.
        """
        return replace(later, changed_ns=self.changed_ns) == self


class Store(Protocol):
    """An archive's files: written once, found under their path, never changed and never removed.

    Every method also raises ValueError for a path that leads out of the archive, and StoreAway if
    the storage does not answer.
    """

    @property
    def address(self) -> str:
        """The place of the archive, as a person would write it."""

    def keep(
        self,
        path: str,
        source: Path,
        sha256: str,
        on_bytes: Callable[[int], None] | None = None,
        *,
        state: FileState | None = None,
    ) -> Stored:
        """Store a large file from the spool, without reading it into memory.

        The caller must not write to `source` afterwards, only remove it: it may be the stored file.

        Parameters: `path` in the archive; `source`, a complete file; `sha256` in hex, the expected
        sum; `on_bytes`, called with the number of bytes after every piece sent or read; `state`,
        that of `source` when `sha256` was computed from its own bytes. Returns the stored file, or
        an existing file with that sum. Raises Contradiction (another file is there; it stays),
        Damaged (`source` has another sum; nothing was stored), NoSpace.

        The sum is always that of the stored bytes. A store that copies `source` reads its copy
        back. If `source` itself becomes the stored file and is still in that `state`, the sum
        was computed from the stored bytes already; otherwise they are read again.
        """

    def create(self, path: str, data: bytes) -> Stored:
        """Store a small file if its path is free.

        Parameters: `path` in the archive; `data`, all of its bytes. Returns the stored file. Raises
        FileExistsError if the path is taken (the existing file is durable then, and unchanged),
        NoSpace.
        """

    def create_all(self, files: Sequence[tuple[str, bytes]]) -> list[Stored | Exception]:
        """Store several small files, `MOST_TOGETHER` at most, each as `create` does.

        Parameters: `files`, the path and the bytes of each. Returns for each, in the same order,
        the stored file or the error that `create` would raise: one that cannot be stored keeps no
        other from it. Raises StoreAway if the archive does not answer; then nothing was stored.
        """

    def read(self, path: str, most: int = LARGEST_READ) -> bytes:
        """Return all bytes of a small file.

        Parameters: `most`, the largest size in bytes; no more is ever read. Raises Missing,
        Dangerous (larger, or not a plain file).
        """

    def open(self, path: str) -> BinaryIO:
        """Return the file for reading, seekable; the caller closes it. Raises Missing,
        Dangerous.
        """

    def size(self, path: str) -> int:
        """Return the file's size in bytes. Raises Missing, Dangerous."""

    def modified(self, path: str) -> float:
        """Return when the file was stored, by the storage's own clock, in seconds since 1970.
        Raises Missing.
        """

    def exists(self, path: str) -> bool:
        """Return whether the path has a file."""

    def checksum(self, path: str, on_bytes: Callable[[int], None] | None = None) -> Stored:
        """Read the whole file and compute its sum.

        Parameters: `on_bytes`, called with the number of bytes after every piece (1 MiB at most).
        Raises Missing, Dangerous.
        """

    def paths(self, prefix: str = "", *, unlisted: bool = False) -> Iterator[str]:
        """Return every path that begins with `prefix` (any string), sorted as strings are.
        Temporary names of files that are being stored are never listed.

        Parameters: `unlisted`, whether a folder that cannot be listed is yielded as a path itself
        (opening it raises the reason); otherwise it raises OSError.
        """

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Return every path as `paths` gives it, with the file's size in bytes."""

    def gives_names_once(self) -> bool:
        """Try whether the second of two files that are created under one name is refused; return
        the result.

        Raises NoSpace, OSError (a directory that cannot be written to).
        """


def parts_of(path: str) -> list[str]:
    """Return the names that a path consists of. Raises ValueError if the path leads out of the
    archive.
    """
    parts = path.split("/")
    if not _LEADS_ELSEWHERE.isdisjoint(parts) or "\0" in path or "\\" in path:
        raise ValueError(f"{path!r} is not a path inside the archive")
    if parts[0] == INCOMING:
        raise ValueError(f"{path!r}: {INCOMING} is reserved for files that are being stored")
    return parts


def summed(
    file: BinaryIO,
    path: str,
    on_bytes: Callable[[int], None] | None,
    on_piece: Callable[[bytes], None] | None = None,
) -> Stored:
    """Read an open file to its end and compute its sum; `on_piece` is called with every piece."""
    digest, size = hashlib.sha256(), 0
    while piece := file.read(PIECE):
        digest.update(piece)
        if on_piece:
            on_piece(piece)
        size += len(piece)
        if on_bytes:
            on_bytes(len(piece))
    return Stored(path, size, digest.hexdigest())


def refuse_larger(path: str, size: int, most: int) -> None:
    """Raise Dangerous if a file is too large to be read into memory."""
    if size > most:
        raise Dangerous(
            path,
            f"has {size} bytes, but no file of this kind has more than {most}; it was not read; "
            "Earwitness did not write it in this form: compare it with a copy",
        )


def refuse_another(present: Stored, sha256: str) -> None:
    """Raise Contradiction if the existing file has another sum."""
    if present.sha256 != sha256:
        raise Contradiction(
            present.path,
            f"another file already exists there (SHA-256 {present.sha256}, not {sha256}); "
            "it was left unchanged; compare the two by hand",
        )


def refuse_changed(path: str, found: str, sha256: str) -> None:
    """Raise Damaged if the bytes on their way into the archive have another sum."""
    if found != sha256:
        raise Damaged(
            path,
            f"its bytes have the SHA-256 {found} instead of {sha256}: they changed between the "
            "download and the archive; nothing was stored, fetch it again",
        )
