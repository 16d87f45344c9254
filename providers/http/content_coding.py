"""Decompression of answers, piece by piece: an answer is unpacked whole or refused."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import httpx

from config.masking import mask_message

from .headers import codings

#: The most that is unpacked at a time, in bytes: a small piece may expand a thousandfold.
_MOST_AT_ONCE = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


class Unpackable(ValueError):
    """The body has an unsupported coding, or does not unpack whole; the message says how."""


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """Yield the pieces of an answer's body without its Content-Encoding: gzip, deflate or none.

    Raises Unpackable for any other coding, for more than one coding (each may expand a
    thousandfold), and for a body that ends before its coding does.
    """
    if response.is_stream_consumed:  # its transport has read and unpacked it
        yield response.content
        return
    packed, pieces = codings(response.headers), response.iter_raw()
    if len(packed) > 1:
        raise Unpackable("compressed more than once")
    if not packed:
        yield from pieces
    elif packed == ["gzip"]:
        yield from _inflated(pieces, _GZIP)
    elif packed == ["deflate"]:
        yield from _inflated(pieces, zlib.MAX_WBITS)
    else:
        named = mask_message(packed[0])[:40]
        raise Unpackable(f"in the Content-Encoding {named!r}, which is unknown")


def _inflated(pieces: Iterable[bytes], window: int) -> Iterator[bytes]:
    decompressor = None
    for piece in pieces:
        left = piece
        while left:
            if decompressor is not None and decompressor.eof:
                # Zeros may pad the packed bytes; anything else must be packed as well.
                left = left.lstrip(b"\0")
            if left and (decompressor is None or decompressor.eof):
                decompressor = zlib.decompressobj(_window(left, window))
            if left and decompressor is not None:
                yield _piece(decompressor, left)
                left = decompressor.unconsumed_tail or decompressor.unused_data
    if decompressor is None:
        return
    yield decompressor.flush()
    if not decompressor.eof:
        raise Unpackable("compressed, and ends too early")


def _piece(decompressor: zlib._Decompress, packed: bytes) -> bytes:
    try:
        return decompressor.decompress(packed, _MOST_AT_ONCE)
    except zlib.error:
        raise Unpackable("compressed, and does not unpack") from None


def _window(begin: bytes, window: int) -> int:
    """Return the window for zlib. Some servers send deflate without the two header bytes of
    zlib.
    """
    is_bare = window == zlib.MAX_WBITS and begin[0] & 0x0F != zlib.DEFLATED
    return -zlib.MAX_WBITS if is_bare else window
