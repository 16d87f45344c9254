"""The SHA-256 of a file that grows, computed behind its writer.

The sum is that of the bytes which the file gives back, not of those that were meant for it. They
are read while they still lie in memory.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from archive.errors import Damaged
from archive.store.fsync import begin_flush

PIECE = 1024 * 1024
#: How far the writer may be ahead of the sum, in bytes.
LEAD = 64 * PIECE


class SumBehind:
    """The sum of one file. Must be closed before the file is."""

    def __init__(self, file: int, path: Path, name: str) -> None:
        """Follow the open ``file``, which lies at ``path``; ``name`` is its name in messages."""
        self._file, self._path, self._name = file, path, name
        self._digest = hashlib.sha256()
        self._size = 0
        self._buffer = bytearray(PIECE)
        self._reader = _Follower(self._read, lead=LEAD)
        self._flusher = _Follower(lambda start, end: begin_flush(file, start, end), lead=None)

    def take(self, piece: bytes) -> None:
        """Add bytes that the caller has read from the file. Only before anything is written."""
        self._digest.update(piece)
        self._size += len(piece)
        self._reader.start_at(self._size)
        self._flusher.start_at(self._size)

    def written(self, size: int) -> None:
        """Follow the writer, who has written ``size`` bytes in all; wait while the sum is more than
        64 MiB behind.

        Raises Damaged if the file is shorter than that, and OSError with the file's name.
        """
        self._flusher.written(size)
        self._reader.written(size)

    def finish(self, size: int) -> str:
        """Return the sum in hex of the file, which has ``size`` bytes. Raises as `written` does."""
        self.written(size)
        self._reader.catch_up()
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the threads. The bytes are on their way to the disk, not yet there."""
        self._reader.close()
        self._flusher.close()

    def _read(self, start: int, end: int) -> None:
        view = memoryview(self._buffer)
        while start < end:
            try:
                count = os.preadv(self._file, [view[: end - start]], start)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self._path)) from error
            if not count:
                raise cut(self._name, start, end)
            self._digest.update(view[:count])
            start += count


def cut(name: str, size: int, written: int) -> Damaged:
    """Return the error of a file that has fewer bytes, or more, than its only writer wrote."""
    return Damaged(
        name,
        f"its file in the spool has {size} bytes where {written} were written: something else "
        "changed it; the partial file was deleted; fetch it again from the start",
    )


class _Follower:
    """A thread that does a step for each stretch of a file, in order, once it is written. The
    first stretch starts the thread.
    """

    def __init__(self, step: Callable[[int, int], None], *, lead: int | None) -> None:
        self._step, self._lead = step, lead
        self._changed = threading.Condition()
        self._done = self._end = 0
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._is_closed = False

    def start_at(self, offset: int) -> None:
        self._done = self._end = offset

    def written(self, end: int) -> None:
        with self._changed:
            self._end = end
            if self._thread is None and self._done < end:
                self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            if self._lead is not None:
                self._wait_until_left(self._lead)

    def catch_up(self) -> None:
        with self._changed:
            self._wait_until_left(0)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _wait_until_left(self, most: int) -> None:
        self._changed.wait_for(lambda: self._error or self._end - self._done <= most)
        if self._error:
            raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._done < self._end)
                if self._is_closed:
                    return
                start, end = self._done, min(self._end, self._done + PIECE)
            try:
                self._step(start, end)
            except BaseException as error:  # noqa: BLE001 - raised where the writer waits
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._done = end
                self._changed.notify_all()
