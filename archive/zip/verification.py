"""Verification of ZIP archives: every member is read through its checksum, nothing is ever
extracted.
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from archive.audio.detection import Listener
from archive.audio.properties import Sound
from archive.errors import Dangerous, Missing
from archive.problem import quoted

from .directory import Directory, find, name, shown_name
from .member import packed_at, shortest, unpacked

RATIO_COUNTS_ABOVE = 64 * 1024 * 1024

_ENCRYPTED = 0x1 | 0x40 | 0x2000


@dataclass(frozen=True)
class Limits:
    """The limits of an archive's content: number of members, bytes, bytes per packed byte."""

    members: int
    bytes: int
    ratio: float


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
    several members with one name each is yielded.

    Parameters: `file`, seekable; `limits`; `path`, the archive's name in messages; `on_bytes`,
    called with the number of bytes after every unpacked piece (1 MiB at most); `listener`, makes a
    listener for one member. Raises Dangerous (a name that leads elsewhere, encryption, a bomb,
    members that overlap, a name that differs from the list's) and Damaged (cut, wrong checksum or
    size, not a ZIP).
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            yield from members(opened, limits, path=path, on_bytes=on_bytes, listener=listener)
        return
    directory = find(file, path)
    starts = _survey(directory, limits)
    for info in directory.entries():
        if _is_folder(info):
            continue
        _check_place(directory, info, starts)
        digest, listening = hashlib.sha256(), listener() if listener else None
        for piece in unpacked(file, info, path):
            digest.update(piece)
            if listening:
                listening.feed(piece)
            if on_bytes:
                on_bytes(len(piece))
        sound = listening.sound() if listening else None
        yield Member(name(info), info.file_size, digest.hexdigest(), sound)


def unpack(file: BinaryIO, member: Member, *, path: str) -> Iterator[bytes]:
    """Yield the bytes of one member of a verified archive, in pieces of 1 MiB at most.

    Of several members with its name, the one with its sum is taken. `file` must not be moved
    between two pieces. Raises Missing if there is none, Damaged.
    """
    for info in find(file, path).entries():
        if name(info) != member.name or info.file_size != member.bytes:
            continue
        digest = hashlib.sha256()
        for piece in unpacked(file, info, path):
            digest.update(piece)
        if digest.hexdigest() == member.sha256:
            yield from unpacked(file, info, path)
            return
    raise Missing(path, f"holds no member {quoted(member.name)} with the SHA-256 {member.sha256}")


def _survey(directory: Directory, limits: Limits) -> array[int]:
    """Check the list of members as a whole; return the members' starts, in ascending order."""
    path, total = directory.path, 0
    starts, ends = array("Q"), array("Q")
    for info in directory.entries():
        _check_entry(path, info, limits)
        total += info.file_size
        if len(starts) == limits.members:
            raise Dangerous(path, f"has more than {limits.members} members (the limit set here)")
        if total > limits.bytes:
            raise Dangerous(path, f"unpacks to more than {limits.bytes} bytes (the limit set here)")
        end = info.header_offset + shortest(info)
        if end > directory.start:
            raise Dangerous(path, f"the member {shown_name(info)} reaches into the list of members")
        starts.append(info.header_offset)
        ends.append(end)
    if _too_dense(total, directory.start, limits):
        raise Dangerous(
            path,
            f"unpacks from {directory.start} to {total} bytes, more than {limits.ratio:g} times "
            "its size (the limit set here)",
        )
    return _ascending(directory, starts, ends)


def _ascending(directory: Directory, starts: array[int], ends: array[int]) -> array[int]:
    """Return the members' starts, in ascending order; each member ends before the next one
    starts.
    """
    order = sorted(range(len(starts)), key=starts.__getitem__)
    for one, other in pairwise(order):
        if ends[one] > starts[other]:
            raise Dangerous(directory.path, _overlap(_name_at(directory, other)))
    return array("Q", (starts[index] for index in order))


def _check_entry(path: str, info: zipfile.ZipInfo, limits: Limits) -> None:
    """Check one entry of the list alone: its name, its kind, its encryption, its ratio."""
    shown = name(info)
    fault = _fault_of_name(shown)
    if stat.S_ISLNK(info.external_attr >> 16):
        fault = "is a symbolic link, which could lead elsewhere"
    elif info.flag_bits & _ENCRYPTED:
        fault = "is encrypted, so it cannot be checked"
    elif _too_dense(info.file_size, info.compress_size, limits):
        fault = (
            f"unpacks from {info.compress_size} to {info.file_size} bytes, more than "
            f"{limits.ratio:g} times its size (the limit set here)"
        )
    if fault:
        raise Dangerous(path, f"the member {quoted(shown)} {fault}")


def _fault_of_name(shown: str) -> str | None:
    parts = re.split(r"[/\\]", shown)
    if "\0" in shown:
        return "has a NUL in its name, which hides the rest of it"
    if not shown:
        return "has no name"
    if not parts[0] or re.match(r"[A-Za-z]:", shown):
        return "has an absolute name, which could overwrite files elsewhere"
    if any(part.strip(" ") == ".." for part in parts):
        return "has '..' in its name, which could overwrite files elsewhere"
    return None


def _check_place(directory: Directory, info: zipfile.ZipInfo, starts: array[int]) -> None:
    """Check that the member, with its header, ends before the next one starts."""
    end = packed_at(directory.file, info, directory.path) + info.compress_size
    following = bisect_right(starts, info.header_offset)
    if end > (starts[following] if following < len(starts) else directory.start):
        raise Dangerous(directory.path, _overlap(shown_name(info)))


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return name(info).endswith(("/", "\\")) and not info.file_size


def _too_dense(unpacked: int, packed: int, limits: Limits) -> bool:
    return unpacked > RATIO_COUNTS_ABOVE and unpacked > limits.ratio * packed


def _overlap(shown: str) -> str:
    return f"the member {shown} overlaps another one, as in a bomb"


def _name_at(directory: Directory, index: int) -> str:
    return next(shown_name(info) for n, info in enumerate(directory.entries()) if n == index)
