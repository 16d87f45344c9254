"""Unpacking compressed answers: piece by piece, and whole or not at all."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import httpx

from config.masking import mask_message

from .headers import codings

#: The most that is unpacked at a time, in bytes: a small piece may hide a thousand times as much.
_MOST_AT_ONCE = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


class Unpackable(ValueError):
    """The body is packed in a way that is not read, or does not unpack whole; says how."""


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """The pieces of an answer's body without its Content-Encoding: gzip, deflate or none.

    Raises Unpackable for any other coding, for more than one, since each time may hide a thousand
    times as much, and for a body that ends before its coding does.
    """
    if response.is_stream_consumed:  # read by its transport, which unpacked it
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
        raise Unpackable(f"in the Content-Encoding {named!r}, which is none we know")


def _inflated(pieces: Iterable[bytes], window: int) -> Iterator[bytes]:
    decompressor = None
    for piece in pieces:
        left = piece
        while left:
            if decompressor is not None and decompressor.eof:
                # Zeros may pad what is packed; anything else must be packed as well.
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
    """Some servers send deflate without the two bytes of zlib that belong to it."""
    is_bare = window == zlib.MAX_WBITS and begin[0] & 0x0F != zlib.DEFLATED
    return -zlib.MAX_WBITS if is_bare else window
