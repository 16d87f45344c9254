"""One member of a ZIP archive: its header, and its bytes, unpacked in pieces.

`zipfile` unpacks without a bound: 885 bytes of bzip2 that declare 100 bytes took 2 GB of
memory. The decompressors below it take a bound. Layout of the header: PKWARE's APPNOTE, 4.3.7; of
the bytes before LZMA's data: 5.8.8.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from archive.errors import Damaged, Dangerous

from .directory import raw_name, shown_name, understood

PIECE = 1024 * 1024
LARGEST_LZMA_DICTIONARY = 32 * 1024 * 1024

_HEADER = struct.Struct("<4s22x2H")
_LZMA = struct.Struct("<2xHBL")


class _Decompressor(Protocol):
    """The common interface of bz2 and lzma: unpack with a bound, and say when more bytes are
    needed.
    """

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """zlib's decompressor for bare deflate, with the interface of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def shortest(info: zipfile.ZipInfo) -> int:
    """Return the fewest bytes that the member can take in the archive, its header included."""
    return _HEADER.size + len(raw_name(info)) + info.compress_size


def packed_at(file: BinaryIO, info: zipfile.ZipInfo, path: str) -> int:
    """Return where the member's packed bytes begin, after its header.

    Raises Damaged if there is no header, Dangerous if it has another name than the list.
    """
    file.seek(info.header_offset)
    header = file.read(_HEADER.size)
    if not header.startswith(b"PK\x03\x04") or len(header) < _HEADER.size:
        raise Damaged(
            path, f"the member {shown_name(info)} is not where the list says; fetch it again"
        )
    _, name_length, extra_length = _HEADER.unpack(header)
    if file.read(name_length) != raw_name(info):
        raise Dangerous(path, f"the member {shown_name(info)} has another name in its own header")
    return info.header_offset + _HEADER.size + int(name_length) + int(extra_length)


def unpacked(file: BinaryIO, info: zipfile.ZipInfo, path: str, at: int) -> Iterator[bytes]:
    """Yield the member's bytes, in pieces of 1 MiB at most, none beyond its declared size.

    Its packed bytes begin at the position `at`. `file` must not be moved between two pieces. Raises
    Damaged at the last piece if the size or the CRC differs from the list; Dangerous.
    """
    count = crc = 0
    file.seek(at)
    pieces = _pieces(file, info, path)
    while True:
        with understood(path, lambda: _part(info)):
            piece = next(pieces, b"")
        count, crc = count + len(piece), zlib.crc32(piece, crc)
        if count > info.file_size or (not piece and count < info.file_size):
            raise Damaged(path, _other_size(_part(info), info.file_size, count))
        if not piece and crc != info.CRC:
            raise Damaged(
                path,
                f"{_part(info)} does not have the checksum (CRC-32) it should have; fetch it again",
            )
        if not piece:
            return
        yield piece


def _part(info: zipfile.ZipInfo) -> str:
    """Return the member's description for a message. Called only when needed, since masking the
    name takes time.
    """
    return f"the member {shown_name(info)}"


def _pieces(file: BinaryIO, info: zipfile.ZipInfo, path: str) -> Iterator[bytes]:
    """Yield the unpacked bytes, from the current position of the packed ones; no piece is empty."""
    packed = info.compress_size
    if info.compress_type == zipfile.ZIP_STORED:
        while packed and (data := file.read(min(PIECE, packed))):
            packed -= len(data)
            yield data
        return
    if info.compress_type == zipfile.ZIP_LZMA:
        packed -= _LZMA.size
    decompressor = _decompressor(file, info, path)
    while not decompressor.eof:
        data = b""
        if decompressor.needs_input:
            data = file.read(max(0, min(PIECE, packed)))
            packed -= len(data)
        piece = decompressor.decompress(data, PIECE)
        if piece:
            yield piece
        elif not data:
            return


def _decompressor(file: BinaryIO, info: zipfile.ZipInfo, path: str) -> _Decompressor:
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return _Inflate()
    if info.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor()
    if info.compress_type == zipfile.ZIP_LZMA:
        return _lzma(file.read(_LZMA.size), path, shown_name(info))
    raise Damaged(
        path,
        f"the member {shown_name(info)} is packed by method {info.compress_type}, "
        "which cannot be checked here; ask for an archive packed by deflate",
    )


def _lzma(head: bytes, path: str, shown: str) -> _Decompressor:
    length, settings, dictionary = _LZMA.unpack(head)
    if length != 5:
        raise lzma.LZMAError("unknown settings")
    if dictionary > LARGEST_LZMA_DICTIONARY:
        raise Dangerous(path, f"the member {shown} needs {dictionary} bytes of memory to unpack")
    rest, literal_context = divmod(settings, 9)
    position, literal_position = divmod(rest, 5)
    chain = {
        "id": lzma.FILTER_LZMA1,
        "lc": literal_context,
        "lp": literal_position,
        "pb": position,
        "dict_size": dictionary,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])


def _other_size(part: str, declared: int, count: int) -> str:
    found = f"more than {declared}" if count > declared else str(count)
    return f"{part} has {found} bytes where the list says {declared}; fetch it again"
