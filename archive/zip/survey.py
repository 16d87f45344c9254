"""The checks of an archive's list of members, before the first member is read."""

from __future__ import annotations

import heapq
import re
import stat
import zipfile
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from archive.errors import Dangerous
from archive.problem import quoted

from .directory import Directory, name, shown_name
from .member import packed_at, shortest

RATIO_COUNTS_ABOVE = 64 * 1024 * 1024

_ENCRYPTED = 0x1 | 0x40 | 0x2000
#: The number of members that are sorted in memory at a time.
_SORTED_AT_ONCE = 10_000


@dataclass(frozen=True)
class Limits:
    """The limits of an archive's content: number of members, bytes, bytes per packed byte."""

    members: int
    bytes: int
    ratio: float


def survey(directory: Directory, limits: Limits) -> array[int]:
    """Check the list of members as a whole; return the members' starts, in ascending order."""
    path, total = directory.path, 0
    starts, ends = array("Q"), array("Q")
    for info in directory.entries():
        _check_entry(path, info, limits)
        total += info.file_size
        if len(starts) == limits.members:
            raise Dangerous(path, f"has more than {limits.members} members (the built-in limit)")
        if total > limits.bytes:
            raise Dangerous(path, f"unpacks to more than {limits.bytes} bytes (the built-in limit)")
        end = info.header_offset + shortest(info)
        if end > directory.start:
            raise Dangerous(path, f"the member {shown_name(info)} reaches into the list of members")
        starts.append(info.header_offset)
        ends.append(end)
    if _too_dense(total, directory.start, limits):
        raise Dangerous(
            path,
            f"unpacks from {directory.start} to {total} bytes, more than {limits.ratio:g} times "
            "its size (the built-in limit)",
        )
    return _ascending(directory, starts, ends)


def _ascending(directory: Directory, starts: array[int], ends: array[int]) -> array[int]:
    """Return the members' starts, in ascending order; each member ends before the next one
    starts.
    """
    if all(one <= other for one, other in pairwise(starts)):
        order: Sequence[int] = range(len(starts))
    else:
        order = _order(starts)
        starts = array("Q", (starts[index] for index in order))
        ends = array("Q", (ends[index] for index in order))
    for place, following in enumerate(starts[1:]):
        if ends[place] > following:
            raise Dangerous(directory.path, _overlap(_name_at(directory, order[place + 1])))
    return starts


def _order(starts: array[int]) -> array[int]:
    """Return the members' numbers in ascending order of their starts. They are sorted in runs: a
    list of a million numbers would take much memory.
    """
    runs = []
    for first in range(0, len(starts), _SORTED_AT_ONCE):
        run = range(first, min(first + _SORTED_AT_ONCE, len(starts)))
        runs.append(array("I", sorted(run, key=starts.__getitem__)))
    return array("I", heapq.merge(*runs, key=starts.__getitem__))


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
            f"{limits.ratio:g} times its size (the built-in limit)"
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


def place_of(
    directory: Directory, file: BinaryIO, info: zipfile.ZipInfo, starts: array[int]
) -> int:
    """Return where the member's packed bytes begin in ``file``. Raises Dangerous if the member,
    with its header, does not end before the next one starts; and as `packed_at` does.
    """
    at = packed_at(file, info, directory.path)
    following = bisect_right(starts, info.header_offset)
    if at + info.compress_size > (
        starts[following] if following < len(starts) else directory.start
    ):
        raise Dangerous(directory.path, _overlap(shown_name(info)))
    return at


def is_folder(info: zipfile.ZipInfo) -> bool:
    """Return whether the member is a folder, which has no bytes."""
    return name(info).endswith(("/", "\\")) and not info.file_size


def _too_dense(unpacked: int, packed: int, limits: Limits) -> bool:
    return unpacked > RATIO_COUNTS_ABOVE and unpacked > limits.ratio * packed


def _overlap(shown: str) -> str:
    return f"the member {shown} overlaps another one, as in a ZIP bomb"


def _name_at(directory: Directory, index: int) -> str:
    return next(shown_name(info) for n, info in enumerate(directory.entries()) if n == index)
