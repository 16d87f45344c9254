"""What every store offers, be it a directory or a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from archive.errors import Contradiction, Damaged, Dangerous

PIECE = 1024 * 1024
#: The most that is read into memory as one file.
LARGEST_READ = 256 * 1024 * 1024
#: Kept for what is no part of the archive: it never shows among the paths.
INCOMING = ".incoming"


@dataclass(frozen=True)
class Stored:
    """A stored file: its posix path from the archive's root, its size, its SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


class Store(Protocol):
    """An archive's files: written once, found under their path, never changed and never removed.

    Every method also raises ValueError for a path that leads out of the archive, and StoreAway if
    the storage does not answer.
    """

    @property
    def address(self) -> str:
        """Where it lies, as a person would write it."""

    def keep(
        self,
        path: str,
        source: Path,
        sha256: str,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Stored:
        """Store a large file from the spool, without reading it into memory.

        Write to `source` no more afterwards, only remove it: it may be the stored file.

        Parameters: `path` in the archive; `source`, a complete file; `sha256` in hex, which it
        must have; `on_bytes`, called with the number of bytes after every piece sent or read.
        Returns the stored file, whose sum was read back; or the file that stood there already
        with that very sum.
        Raises Contradiction (another file stands there; it stays), Damaged (`source` has another
        sum; nothing was stored), NoSpace.
        """

    def create(self, path: str, data: bytes) -> Stored:
        """Store a small file, if nothing stands under its path.

        Parameters: `path` in the archive; `data`, all of its bytes.
        Returns the stored file. Raises FileExistsError where something stands there already
        (it is durable then, and unchanged), NoSpace.
        """

    def read(self, path: str, most: int = LARGEST_READ) -> bytes:
        """Return all bytes of a small file.

        Parameters: `most`, the number of bytes that it may have; no more are ever read.
        Raises Missing, Dangerous (larger, or not a plain file).
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
        """Return whether a file stands under the path."""

    def checksum(self, path: str, on_bytes: Callable[[int], None] | None = None) -> Stored:
        """Read the whole file and sum it up.

        Parameters: `on_bytes`, called with the number of bytes after every piece (1 MiB at most).
        Raises Missing, Dangerous.
        """

    def paths(self, prefix: str = "", *, unlisted: bool = False) -> Iterator[str]:
        """Return every path that begins with `prefix` (any string), sorted as strings are. What is
        kept for files that are being stored never shows.

        Parameters: `unlisted`, whether a folder that cannot be listed shows as a path itself (to
        open it says why); else it raises OSError.
        """

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Return every path as `paths` gives it, with the file's size in bytes."""

    def gives_names_once(self) -> bool:
        """Try it: whether the second of two files that are created under one name is refused.

        Raises NoSpace, OSError (a directory that is not to be written to).
        """


def parts_of(path: str) -> list[str]:
    """Return the names that a path consists of. Raises ValueError where it leads out of the
    archive.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or "\\" in path:
        raise ValueError(f"{path!r} is not a path inside the archive")
    if parts[0] == INCOMING:
        raise ValueError(f"{path!r}: {INCOMING} is kept for files that are being stored")
    return parts


def summed(file: BinaryIO, path: str, on_bytes: Callable[[int], None] | None) -> Stored:
    """Read an open file to its end and sum it up."""
    digest, size = hashlib.sha256(), 0
    while piece := file.read(PIECE):
        digest.update(piece)
        size += len(piece)
        if on_bytes:
            on_bytes(len(piece))
    return Stored(path, size, digest.hexdigest())


def refuse_larger(path: str, size: int, most: int) -> None:
    """Raise Dangerous where a file is too large to be read into memory."""
    if size > most:
        raise Dangerous(
            path,
            f"has {size} bytes, and no such file has more than {most}; it was not read; it was "
            "changed or put there by somebody else: compare it with a copy",
        )


def refuse_another(present: Stored, sha256: str) -> None:
    """Raise Contradiction where the file that stands there has another sum."""
    if present.sha256 != sha256:
        raise Contradiction(
            present.path,
            f"another file stands there already (SHA-256 {present.sha256}, not {sha256}); "
            "it was left as it is; compare the two by hand",
        )


def refuse_changed(path: str, found: str, sha256: str) -> None:
    """Raise Damaged where the bytes on their way into the archive have another sum."""
    if found != sha256:
        raise Damaged(
            path,
            f"its bytes have the SHA-256 {found} instead of {sha256}: they changed between the "
            "download and the archive; nothing was stored, fetch it again",
        )
