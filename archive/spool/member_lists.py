"""The members of verified ZIPs, kept in the spool so that a ZIP need not be read again.

A list is a convenience. If it is missing, cut or altered, or did not fit on the disk, the ZIP is
read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from archive.audio.properties import Sound
from archive.zip.verification import Member

from .spool import Spool

#: How far members were examined as audio: not at all, their beginnings, or to their ends.
Hearing = Literal["unheard", "begun", "whole"]

_HEARINGS: tuple[Hearing, ...] = ("unheard", "begun", "whole")
#: The number of members that are written before the disk's free space is checked again.
_BATCH = 1000


class MemberLists:
    """The lists of one spool. Each belongs to the SHA-256 of its ZIP."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def recorded(
        self, sha256: str, hearing: Hearing, members: Iterator[Member]
    ) -> Iterator[Member]:
        """Pass members through as they are verified, and keep their list once all of them are.

        Args:
            sha256: the ZIP's sum, in hex.
            hearing: how far the members are examined as audio.
            members: all members of the ZIP, in its own order.
        """
        unfinished = self._spool.scratch(f"members-{sha256}")
        writer = _Writer(unfinished, self._spool.reserve_bytes)
        try:
            for member in members:
                writer.add(member)
                yield member
            if writer.finish():
                unfinished.replace(self._path(sha256, hearing))
        finally:
            writer.close()
            unfinished.unlink(missing_ok=True)

    def read(self, sha256: str, hearing: Hearing) -> Iterator[Member] | None:
        """Return the members of the ZIP with this SHA-256, if they are known in enough detail."""
        path = self._path(sha256, hearing)
        return _members(path) if _is_whole(path) else None

    def drop(self, sha256: str) -> None:
        """Remove the lists of a ZIP whose members are no longer needed."""
        for hearing in _HEARINGS:
            self._path(sha256, hearing).unlink(missing_ok=True)

    def _path(self, sha256: str, hearing: Hearing) -> Path:
        return self._spool.directory / f"{sha256}-{hearing}.members"


class _Writer:
    """Writes a list: a line for each member, and at the end the SHA-256 of all lines before."""

    def __init__(self, path: Path, reserve_bytes: int) -> None:
        self._path, self._reserve_bytes = path, reserve_bytes
        self._digest, self._lines, self._has_room = hashlib.sha256(), list[bytes](), True
        self._file = path.open("wb")

    def add(self, member: Member) -> None:
        sound = member.sound
        heard = sound and (sound.format, sound.seconds, sound.fault, sound.last_is_cut)
        line = json.dumps([member.name, member.bytes, member.sha256, heard]).encode() + b"\n"
        self._digest.update(line)
        self._lines.append(line)
        if len(self._lines) >= _BATCH:
            self._flush()

    def finish(self) -> bool:
        """Return whether the whole list was written."""
        self._lines.append(f"{self._digest.hexdigest()}\n".encode())
        self._flush()
        return self._has_room

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _flush(self) -> None:
        lines, self._lines = b"".join(self._lines), []
        if not self._has_room:
            return
        disk = os.statvfs(self._path.parent)
        self._has_room = disk.f_bavail * disk.f_frsize - len(lines) >= self._reserve_bytes
        try:
            if self._has_room:
                self._file.write(lines)
                self._file.flush()
        except OSError:
            self._has_room = False


def _is_whole(path: Path) -> bool:
    """Return whether a list ends with the SHA-256 of all lines before."""
    digest, last = hashlib.sha256(), b""
    try:
        with path.open("rb") as file:
            for line in file:
                digest.update(last)
                last = line
    except OSError:
        return False
    return last == f"{digest.hexdigest()}\n".encode()


def _members(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        for line in file:
            if not line.startswith(b"["):
                return
            name, size, sha256, heard = json.loads(line)
            yield Member(name, size, sha256, None if heard is None else Sound(*heard))
