"""Streamed bodies: the place of their bytes, and the check that they are read whole."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable, Iterator

import httpx

from config.masking import mask_message
from providers.errors import Uncertain

from .deadline import large_pieces
from .exchange import Answer
from .headers import codings

#: The largest piece that is handed on, in bytes.
PIECE = 1 << 20

#: A piece of this size is handed on as it is; smaller ones are gathered first.
_LARGE = 256 * 1024

#: A piece is handed on at least this often while bytes arrive, however small it is.
_GATHERING_SECONDS = 0.5

# Python refuses to read numbers of thousands of digits; no file's size has more than 18.
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/([0-9]{1,18})")
#: The statuses that a request for the whole object would meet too: refused, not found, gone,
#: throttled.
_SAME_FOR_THE_WHOLE = (401, 403, 404, 410, 429, 503)
_STRONG = re.compile(r'"[!#-~]*"')


class Body:
    """An answer whose bytes are still to come.

    ``offset`` is the position of its first byte, ``total`` the size of the whole object if stated,
    ``etag`` a strong validator or None, ``content_type`` as sent; ``complete`` means that nothing
    is left to fetch (a 416 for a part that begins at the object's end).
    """

    def __init__(
        self, provider: str, answer: Answer, *, requested: int = 0, etag: str | None = None
    ) -> None:
        self._provider = provider
        self._answer = answer
        # Chunks mark their own end; a length besides them is not believed (RFC 9112, 6.3).
        self._is_chunked = "Transfer-Encoding" in answer.headers
        length = "" if self._is_chunked else answer.headers.get("Content-Length", "")
        self._length = int(length) if length.isascii() and length.isdigit() else None
        self._broken: str | None = None
        self._raw = self._arriving()
        self.content_type = answer.headers.get("Content-Type", "")
        self.complete = answer.status == 416 and 0 < requested == unsatisfied_total(answer)
        # A part belongs to the validator of its request; not every server repeats it.
        validator = answer.headers.get("ETag", etag if requested and answer.status != 200 else None)
        self.etag = validator if is_strong(validator) else None
        self.offset, self.total, self._end = self._place(requested)
        if self.offset and self.etag != etag:
            raise Uncertain(provider, "the answer is a part of a file other than the requested one")
        if packed := codings(answer.headers):
            named = mask_message(", ".join(packed))[:60]
            raise Uncertain(
                provider,
                f"the file came as {named} (Content-Encoding), although the request allowed no "
                "encoding",
            )

    def first(self, size: int) -> bytes:
        """Return the first bytes, at least ``size`` unless there are fewer; ``chunks`` yields them
        again.

        Raises Uncertain when the connection breaks earlier.
        """
        taken: list[bytes] = []
        while sum(map(len, taken)) < size and (piece := next(self._raw, b"")):
            taken.append(piece)
        self._raw = itertools.chain(taken, self._raw)
        start = b"".join(taken)
        if self._broken and len(start) < size:
            raise Uncertain(self._provider, f"the transfer {self._broken}")
        return start

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive, at most 1 MiB at a time.

        Raises Uncertain, after the last received byte, when the body ends before its stated length
        or the connection breaks. A body without a stated length that is cut cleanly looks whole:
        the caller must verify its content.
        """
        received = 0
        for piece in self._gathered():
            received += len(piece)
            yield piece
        if self._broken:
            raise Uncertain(
                self._provider,
                f"the transfer {self._broken} after {received} bytes; it will be resumed",
            )
        if self._end is not None and self.offset + received != self._end:
            raise Uncertain(
                self._provider,
                f"the transfer ended after {received} of {self._end - self.offset} bytes; "
                "it will be resumed",
            )

    def _gathered(self) -> Iterator[bytes]:
        gathered, size, since = list[bytes](), 0, time.monotonic()
        for piece in self._raw:
            for part in _cut(piece):
                if size + len(part) > PIECE:
                    yield b"".join(gathered)
                    gathered, size, since = [], 0, time.monotonic()
                gathered.append(part)
                size += len(part)
            if len(piece) >= _LARGE or time.monotonic() - since > _GATHERING_SECONDS:
                # A single piece is not copied.
                yield b"".join(gathered)
                gathered, size, since = [], 0, time.monotonic()
        if size:
            yield b"".join(gathered)

    def _arriving(self) -> Iterator[bytes]:
        """Yield the bytes as they arrive; a break ends them, so that no byte before the break is
        lost.
        """
        if self.complete:
            return
        response = self._answer.response
        try:
            if self._is_chunked:
                yield from response.iter_raw()
            else:
                yield from large_pieces(response, self._length)
        except httpx.TimeoutException:
            self._broken = "stalled for too long"
        except httpx.RequestError as error:
            self._broken = f"broke off ({type(error).__name__})"

    def _place(self, requested: int) -> tuple[int, int | None, int | None]:
        """Return the offset, the size of the whole object, and the end of the whole object if
        known.
        """
        if self.complete:
            return requested, requested, None
        if self._answer.status == 416:
            raise Uncertain(self._provider, "the requested part does not exist (HTTP 416)")
        if self._answer.status != 206:
            return 0, self._length, self._length
        found = _RANGE.fullmatch(self._answer.headers.get("Content-Range", ""))
        if found is None or not int(found[1]) == requested <= int(found[2]):
            raise Uncertain(
                self._provider,
                f"the answer is a part other than the requested one, from byte {requested}",
            )
        if found[3] == "*":
            return requested, None, int(found[2]) + 1
        # A server may send less than requested: the transfer is whole only at the object's end.
        return requested, int(found[3]), int(found[3])


def _cut(piece: bytes) -> Iterable[bytes]:
    if len(piece) <= PIECE:
        return (piece,)
    return (piece[start : start + PIECE] for start in range(0, len(piece), PIECE))


def is_strong(etag: str | None) -> bool:
    """Return whether the validator promises the same bytes and can be sent back. A weak validator
    promises nothing (RFC 9110, 13.1.5), and one with characters other than ASCII cannot be sent.
    """
    return etag is not None and _STRONG.fullmatch(etag) is not None


def unsatisfied_total(answer: Answer) -> int | None:
    """Return the size of the whole object that a 416 states, or None."""
    found = _UNSATISFIED.fullmatch(answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def begins_anew(answer: Answer, etag: str | None, offset: int) -> bool:
    """Return whether a request for a part failed in a way that a request for the whole may not. Not
    every server supports If-Range or Range, and some answer a part with a 304, a 412 or an error
    that the whole object does not meet.
    """
    if answer.status in (200, *_SAME_FOR_THE_WHOLE):
        return False
    if answer.status not in (206, 416):
        return True
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    begins = int(found[1]) if found and int(found[1]) <= int(found[2]) else None
    place = begins if answer.status == 206 else unsatisfied_total(answer)
    return place != offset or answer.headers.get("ETag", etag) != etag
