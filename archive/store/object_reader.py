"""Reading an object in ranges: only as far as needed, or whole, several ranges at once."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PreconditionError

from .object_errors import has_no_range, understood

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from .object_client import BucketClient

_FIRST = 64 * 1024
_MOST = 4 * 1024 * 1024
#: How many ranges of a whole object are fetched at once.
_AT_ONCE = 4


class ObjectReader(io.RawIOBase):
    """One object, seekable, of which at most one range of 4 MiB is held.

    The first range is fetched at once: it shows the size, and most files fit into it. A range after
    a jump is small, as in the directory of a ZIP; each directly following range is twice as long as
    the one before, since a request costs more than bytes do.
    """

    def __init__(self, bucket: BucketClient, address: str, path: str) -> None:
        """Fetch the beginning of the object. Raises Missing, StoreAway."""
        self._bucket, self._address, self._path = bucket, address, path
        self._at, self._start, self._ahead = 0, 0, _FIRST
        with understood(address, path):
            meta, self._held = self._beginning()
        self._size, self._e_tag = meta["size"], meta["e_tag"]

    def _beginning(self) -> tuple[obstore.ObjectMeta, memoryview]:
        try:
            answer = obstore.get(self._bucket, self._path, options={"range": (0, _FIRST)})
        except BaseError as error:
            meta = obstore.head(self._bucket, self._path) if has_no_range(error) else None
            if meta is None or meta["size"] != 0:
                raise
            return meta, memoryview(b"")
        return answer.meta, memoryview(answer.bytes())

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position and return it. Nothing is fetched."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError(22, "negative position in the object")
        self._at = origin + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer as far as one range goes; return 0 at the end.

        Raises Missing and Damaged (the object was removed or replaced meanwhile), StoreAway.
        """
        target = memoryview(buffer).cast("B")
        if self._at >= self._size or not target:
            return 0
        if not self._start <= self._at < self._start + len(self._held):
            self._fetch(len(target))
        piece = self._held[self._at - self._start :][: len(target)]
        target[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the whole object in ranges of 4 MiB, of which four are fetched at once and held:
        a request waits for its answer longer than for the bytes. Nothing else may be read
        meanwhile. Raises as `readinto` does.
        """
        first, self._held = self._held, memoryview(b"")
        yield first
        starts = iter(range(len(first), self._size, _MOST))
        coming: deque[Future[memoryview]] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ranges")
        try:
            while True:
                while len(coming) < _AT_ONCE and (start := next(starts, None)) is not None:
                    stop = min(start + _MOST, self._size)
                    coming.append(pool.submit(self._range, start, stop))
                if not coming:
                    return
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _fetch(self, wanted: int) -> None:
        goes_on = bool(self._held) and self._at == self._start + len(self._held)
        self._ahead = min(2 * self._ahead, _MOST) if goes_on else _FIRST
        stop = min(self._at + min(max(wanted, self._ahead), _MOST), self._size)
        # The old range is dropped first: two at once take twice the memory.
        self._start, self._held = self._at, memoryview(b"")
        self._held = self._range(self._at, stop)

    def _range(self, start: int, stop: int) -> memoryview:
        options: obstore.GetOptions = {"range": (start, stop)}
        if self._e_tag is not None:
            options["if_match"] = self._e_tag
        with understood(self._address, self._path):
            try:
                answer = obstore.get(self._bucket, self._path, options=options)
            except PreconditionError:
                # Azure answers so for a removed object, too: this raises Missing for one.
                obstore.head(self._bucket, self._path)
                raise
            return memoryview(answer.bytes())
