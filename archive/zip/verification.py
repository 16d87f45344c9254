"""Verification of ZIP archives: every member is read through its checksum, nothing is ever
extracted.
"""

from __future__ import annotations

import hashlib
import threading
import zipfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from archive.audio.detection import Listener
from archive.audio.properties import Sound
from archive.errors import Missing
from archive.problem import quoted

from .directory import Directory, find, name
from .member import packed_at, unpacked
from .survey import Limits, is_folder, place_of, survey
from .threads import Progress, Results, in_order

__all__ = ["Limits", "Member", "members", "unpack"]

#: What one thread takes at a time: so many members, or so many packed bytes if these are more.
_MEMBERS_AT_ONCE = 64
_BYTES_AT_ONCE = 4 * 1024 * 1024
#: The bytes that are read at once where members are smaller.
_BUFFER = 128 * 1024

#: LZMA may take as much memory as all other methods together: one thread at a time unpacks it.
_one_lzma = threading.Lock()


@dataclass(frozen=True, slots=True)
class Member:
    """A verified member: its name as in the archive, its unpacked size, its SHA-256 in hex, and its
    sound if it was examined and is audio.
    """

    name: str
    bytes: int
    sha256: str
    sound: Sound | None = field(default=None, compare=False)


def members(
    file: Path | BinaryIO,
    limits: Limits,
    *,
    path: str,
    on_bytes: Callable[[int], None] | None = None,
    listener: Callable[[], Listener] | None = None,
) -> Iterator[Member]:
    """Verify an archive, member by member, in constant memory.

    The whole list of members is checked before the first one is read. Folders are left out; of
    several members with one name each is yielded. The members of a `Path` are read by several
    threads at once; their order, and the error that is raised, are those of one thread.

    Parameters: `file`, seekable; `limits`; `path`, the archive's name in messages; `on_bytes`,
    called with the number of bytes after every unpacked piece (1 MiB at most), in the caller's
    thread; `listener`, makes a listener for one member. Raises Dangerous (a name that leads
    elsewhere, encryption, a bomb, members that overlap, a name that differs from the list's) and
    Damaged (cut, wrong checksum or size, not a ZIP).
    """
    progress = on_bytes or (lambda _: None)
    if isinstance(file, Path):
        with file.open("rb") as opened:
            verifier = _Verifier(opened, limits, path, listener)
            yield from in_order(verifier.batches(), verifier.verified(file), progress)
        return
    verifier = _Verifier(file, limits, path, listener)
    for info in verifier.entries():
        yield verifier.member(file, info, progress)


class _Verifier:
    """Verifies members of one archive whose list is in order."""

    def __init__(
        self,
        file: BinaryIO,
        limits: Limits,
        path: str,
        listener: Callable[[], Listener] | None,
    ) -> None:
        self._directory: Directory = find(file, path)
        self._starts: array[int] = survey(self._directory, limits)
        self._listener = listener

    def entries(self) -> Iterator[zipfile.ZipInfo]:
        """Yield every member that is no folder, in the order of the list."""
        return (info for info in self._directory.entries() if not is_folder(info))

    def batches(self) -> Iterator[list[zipfile.ZipInfo]]:
        """Yield the same members, a few at a time."""
        batch: list[zipfile.ZipInfo] = []
        size = 0
        for info in self.entries():
            batch.append(info)
            size += info.compress_size
            if len(batch) >= _MEMBERS_AT_ONCE or size >= _BYTES_AT_ONCE:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def verified(self, file: Path) -> Callable[[list[zipfile.ZipInfo], Progress], Results[Member]]:
        """Return the verification of one batch, in any thread, with an open file of its own."""

        def verify(batch: list[zipfile.ZipInfo], progress: Progress) -> Results[Member]:
            with file.open("rb", buffering=_BUFFER) as own:
                for info in batch:
                    is_lzma = info.compress_type == zipfile.ZIP_LZMA
                    with _one_lzma if is_lzma else nullcontext():
                        yield self.member(own, info, progress)

        return verify

    def member(self, file: BinaryIO, info: zipfile.ZipInfo, progress: Progress) -> Member:
        """Read one member whole."""
        at = place_of(self._directory, file, info, self._starts)
        digest, listening = hashlib.sha256(), self._listener() if self._listener else None
        for piece in unpacked(file, info, self._directory.path, at):
            digest.update(piece)
            if listening:
                listening.feed(piece)
            progress(len(piece))
        sound = listening.sound() if listening else None
        return Member(name(info), info.file_size, digest.hexdigest(), sound)


def unpack(file: BinaryIO, member: Member, *, path: str) -> Iterator[bytes]:
    """Yield the bytes of one member of a verified archive, in pieces of 1 MiB at most.

    Of several members with its name, the one with its sum is taken. `file` must not be moved
    between two pieces. Raises Missing if there is none, Damaged.
    """
    for info in find(file, path).entries():
        if name(info) != member.name or info.file_size != member.bytes:
            continue
        at, digest = packed_at(file, info, path), hashlib.sha256()
        for piece in unpacked(file, info, path, at):
            digest.update(piece)
        if digest.hexdigest() == member.sha256:
            yield from unpacked(file, info, path, at)
            return
    raise Missing(path, f"holds no member {quoted(member.name)} with the SHA-256 {member.sha256}")
