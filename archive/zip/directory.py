"""The list of members at the end of a ZIP archive, read in slices.

`zipfile` holds the whole list in memory, 45 to 70 MB for 70,000 members. So the list is cut here
into slices of whole entries, and `zipfile` reads each slice as an archive of its own. Layout of the
records: PKWARE's APPNOTE, 4.3.12 (entry), 4.3.14 to 4.3.16 (the three records of the end).
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from archive.errors import Damaged
from archive.problem import quoted

SLICE = 256 * 1024

_ENTRY = struct.Struct("<4s24x3H12x")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
#: The longest end with its comment; as many bytes may follow as fill up a block or end a line.
_LONGEST_END = _LOCATOR.size + _END.size + 0xFFFF + 0x8000
#: Bytes that may follow the end of archives that every tool reads: a line end, spaces, zeros,
#: Ctrl-Z.
_HARMLESS = b"\0\t\r\n \x1a"
_UTF8_NAME = 0x800


@dataclass(frozen=True)
class Directory:
    """The place of the list of members: `start` and `size` in bytes, `count` of its entries.

    `wraps` says that `count` has 16 bits only and restarts after 65,535; `shift` is the number of
    bytes before the archive that its own offsets do not count.
    """

    file: BinaryIO
    path: str
    start: int
    size: int
    count: int
    wraps: bool
    shift: int = 0

    def entries(self) -> Iterator[zipfile.ZipInfo]:
        """Yield every entry, in the order of the list.

        Raises Damaged if the list cannot be read or has another number of entries.
        """
        found = 0
        for entries in self._slices():
            with understood(self.path, lambda: "the list of members"):
                infos = zipfile.ZipFile(io.BytesIO(entries + _closing(len(entries)))).infolist()
            found += len(infos)
            for info in infos:
                info.header_offset += self.shift
                yield info
        if (found & 0xFFFF if self.wraps else found) != self.count:
            members = f"{found} member{'s' * (found != 1)}"
            raise Damaged(self.path, f"its list has {members} where its end says {self.count}")

    def _slices(self) -> Iterator[bytes]:
        at, stop = self.start, self.start + self.size
        while at < stop:
            self.file.seek(at)
            block = self.file.read(min(SLICE, stop - at))
            length = _whole_entries(block)
            if not length:
                raise Damaged(self.path, "its list of members cannot be read; fetch it again")
            yield block[:length]
            at += length


def find(file: BinaryIO, path: str) -> Directory:
    """Find the list of members of a ZIP archive.

    Parameters: `file`, seekable; `path`, its name in messages. Bytes before the archive (a program
    that unpacks it, a line end) are passed over. Raises Damaged if the end is missing, if more than
    zeros and white space follow the end, or if the list does not directly precede it (bytes were
    lost or added on the way).
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_END))
    tail = file.read(_LONGEST_END)
    at = _find_end(file, tail, path)
    _, disk, _, _, count, length, start, _ = _END.unpack_from(tail, at)
    end, wraps = size - len(tail) + at, True
    locator = tail[max(0, at - _LOCATOR.size) : at]
    if locator.startswith(b"PK\x06\x07") and len(locator) == _LOCATOR.size:
        plain = (count, length, start)
        end, count, length, start = _find_end64(file, locator, end, path)
        _compare(plain, (count, length, start), path)
        wraps = False
    if disk not in (0, 0xFFFF):
        raise Damaged(path, "is one volume of an archive split over several files")
    shift = end - start - length
    if shift and not _stands_before(file, shift, end - length):
        raise Damaged(
            path,
            f"its list of members is not where its end says, but {shift:+} bytes "
            "away: bytes were lost or added; fetch it again",
        )
    return Directory(file, path, start + shift, length, count, wraps, shift)


def _stands_before(file: BinaryIO, shift: int, listed_at: int) -> bool:
    """Return whether the first member of the list is `shift` bytes after the listed position: then
    these bytes precede the whole archive, and no byte inside it was lost or added.
    """
    if shift < 0 or listed_at < shift:
        return False
    file.seek(listed_at)
    entry = file.read(_ENTRY.size)
    if len(entry) < _ENTRY.size or not entry.startswith(b"PK\x01\x02"):
        return False
    offset = int.from_bytes(entry[-4:], "little")
    if offset == 0xFFFFFFFF:
        # The position is in an extra field: the members themselves decide.
        return True
    file.seek(offset + shift)
    return file.read(4) == b"PK\x03\x04"


def raw_name(info: zipfile.ZipInfo) -> bytes:
    """Return a member's name as the bytes in the archive."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8_NAME else "cp437")


def name(info: zipfile.ZipInfo) -> str:
    """Return a member's name: UTF-8 if it is marked so or decodes as such, otherwise code page
    437.
    """
    try:
        return raw_name(info).decode("utf-8")
    except UnicodeDecodeError:
        return info.orig_filename


def shown_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name for a message, as `quoted` shows it."""
    return quoted(name(info))


@contextmanager
def understood(path: str, part: Callable[[], str]) -> Iterator[None]:
    """Turn errors of `zipfile` and the decompressors into Damaged(path) that names the part."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        ValueError,
        struct.error,
        NotImplementedError,
    ) as error:
        raise Damaged(path, f"{part()} cannot be read or unpacked; fetch it again") from error
    except OSError as error:
        # bz2 raises it for damaged bytes; an error of the system has a number.
        if error.errno is not None:
            raise
        raise Damaged(path, f"{part()} cannot be unpacked; fetch it again") from error


def _closing(length: int) -> bytes:
    """Return the three records of the end behind a list of `length` bytes that nothing precedes.

    `zipfile` goes by the list's length; the count of entries is left at 0.
    """
    end64 = _END64.pack(b"PK\x06\x06", _END64.size - 12, 45, 45, 0, 0, 0, 0, length, 0)
    locator = _LOCATOR.pack(b"PK\x06\x07", 0, length, 1)
    end = _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return end64 + locator + end


def _whole_entries(block: bytes) -> int:
    """Return the length of the whole entries at the block's beginning."""
    length = 0
    while len(block) - length >= _ENTRY.size:
        signature, *lengths = _ENTRY.unpack_from(block, length)
        following = length + _ENTRY.size + sum(lengths)
        if signature != b"PK\x01\x02" or following > len(block):
            break
        length = following
    return length


def _find_end(file: BinaryIO, tail: bytes, path: str) -> int:
    """Return the start of the last record; only its comment and harmless bytes may follow (bsdtar
    fills up with zeros, others end a line).

    A signature inside the comment is refused: readers would differ in what they see.
    """
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0:
        if at + _END.size <= len(tail):
            stop = at + _END.size + _END.unpack_from(tail, at)[-1]
            if stop <= len(tail) and not tail[stop:].strip(_HARMLESS):
                return at
        raise Damaged(path, "other bytes follow its end, or its end is cut; fetch it again")
    file.seek(0)
    head = file.read(512)
    if not head:
        raise Damaged(path, "is empty; fetch it again")
    if head.startswith(b"PK\x03\x04"):
        raise Damaged(path, "is cut: the list of members at its end is missing; fetch it again")
    page = " but a web page" if b"<html" in head.lower() else ""
    raise Damaged(path, f"is not a ZIP archive{page}")


def _find_end64(
    file: BinaryIO, locator: bytes, locator_at: int, path: str
) -> tuple[int, int, int, int]:
    """Return the position of the ZIP64 end before the plain end at `locator_at`, and its
    count, length and start.
    """
    claimed = _LOCATOR.unpack(locator)[2]
    stop = locator_at - _LOCATOR.size
    for at in (claimed, stop - _END64.size):
        if not 0 <= at <= stop - _END64.size:
            continue
        file.seek(at)
        signature, size, *_, count, length, start = _END64.unpack(file.read(_END64.size))
        # If bytes precede the archive, it lies that many bytes after the stated position.
        if at not in (claimed, claimed + at - start - length):
            continue
        if signature == b"PK\x06\x06" and at + 12 + size == stop:
            return at, count, length, start
    raise Damaged(path, "its ZIP64 end is not where it should be; fetch it again")


def _compare(plain: tuple[int, int, int], large: tuple[int, int, int], path: str) -> None:
    """Raise Damaged unless the plain end agrees with the ZIP64 end, or has no room for it."""
    for narrow, wide, full in zip(plain, large, (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True):
        if narrow not in (wide, full):
            raise Damaged(path, "its two ends contradict each other; fetch it again")
