"""One unfinished download: its bytes, and beside them the validator for resuming it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archive.errors import Damaged, NoSpace
from archive.store.fsync import flush_folder, full_disk
from archive.store.protocol import FileState

from .sum_behind import PIECE, SumBehind, cut

GRANT = 16 * PIECE

_FULL = (
    "the spool's disk is full; the partial file is kept; free some space to continue the download"
)


class PartialDownload:
    """An unfinished download, open for writing by its holder alone.

    `path` is its file, `held` the number of bytes in it, `etag` the validator with which the
    download may be resumed. Without a validator `held` is 0. `state` is the file's state when
    `finish` computed its sum, None before.
    """

    def __init__(self, path: Path, name: str, reserve_bytes: int) -> None:
        """Take `path`, which the caller has locked, as an empty part, for `Spool.part`."""
        self.path = path
        self.held = 0
        self.etag: str | None = None
        self.state: FileState | None = None
        self._name = name
        self._reserve_bytes = reserve_bytes
        self._granted = 0
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._sum = SumBehind(self._file, path, name)

    def begin(self, etag: str | None) -> None:
        """Begin to write an answer whose first byte belongs at offset `held`.

        Parameters: `etag`, the answer's strong validator, or None. Raises NoSpace, and Damaged if
        the answer belongs to another file than the bytes held: then the part is empty, and the
        answer must not be written to it.
        """
        if self.held and etag not in (None, self.etag):
            self.restart()
            raise Damaged(
                self._name,
                "the provider's file changed during the download; "
                "the partial file was deleted; fetch it again from the start",
            )
        self._granted = 0
        self._grant(1)
        if not self.held:
            self._set_validator(etag)

    def restart(self) -> None:
        """Drop the bytes held and their validator; the next answer begins at 0."""
        _sidecar(self.path).unlink(missing_ok=True)
        flush_folder(self.path.parent)
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._sum.close()
        self._sum = SumBehind(self._file, self.path, self._name)
        self.held, self.etag, self.state = 0, None, None

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises NoSpace before the reserve is touched; `held` stays true. Raises Damaged if somebody
        else has cut the file: then the part is empty.
        """
        self.state = None
        self._grant(len(chunk))
        rest = memoryview(chunk)
        with full_disk(self._name, _FULL):
            while rest:
                written = os.write(self._file, rest)
                self.held += written
                rest = rest[written:]
        with self._emptied_if_cut():
            self._sum.written(self.held)

    def finish(self) -> tuple[int, str]:
        """Return the number of bytes and their SHA-256 in hex; set `state`.

        The sum is computed from the bytes that were read back from the file. They are not durable
        yet: `Store.keep` flushes them. Raises Damaged as `write` does.
        """
        with self._emptied_if_cut():
            sha256 = self._sum.finish(self.held)
            state = FileState.of(self._file)
            if state.size != self.held:
                raise cut(self._name, state.size, self.held)
        self.state = state
        return self.held, sha256

    @contextmanager
    def _emptied_if_cut(self) -> Iterator[None]:
        """Drop the bytes held if the file is not what was written to it."""
        try:
            yield
        except Damaged:
            self.restart()
            raise

    def discard(self) -> None:
        """Remove the part and its validator from the spool."""
        remove(self.path)

    def resume(self, on_bytes: Callable[[int], None] | None) -> None:
        """Compute the sum of the held bytes, or drop them without a validator."""
        etag = _validator(_saved(self.path))
        if etag is None:
            self.restart()
            return
        while piece := os.read(self._file, PIECE):
            self._sum.take(piece)
            self.held += len(piece)
            if on_bytes:
                on_bytes(len(piece))
        self.etag = etag

    def take_over(self, other: Path, on_bytes: Callable[[int], None] | None) -> None:
        """Copy the bytes that another part holds, unless that part is restarted meanwhile."""
        before = _saved(other)
        etag = _validator(before)
        if etag is None:
            return
        try:
            with suppress(FileNotFoundError), other.open("rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    self.write(piece)
                    if on_bytes:
                        on_bytes(len(piece))
        except NoSpace:
            self.discard()
            raise
        if _saved(other) == before:
            self._set_validator(etag)
        else:
            self.restart()

    def close(self) -> None:
        """Close the file."""
        self._sum.close()
        os.close(self._file)

    def _grant(self, wanted: int) -> None:
        """Reserve disk space, some MiB ahead so that the disk is asked seldom."""
        if wanted > self._granted:
            disk = os.statvfs(self.path.parent)
            free = disk.f_bavail * disk.f_frsize - self._reserve_bytes
            if free < wanted:
                raise NoSpace(
                    self._name,
                    f"the spool's disk has only its reserve of {self._reserve_bytes} bytes "
                    "left; the partial file is kept; free some space to continue the download",
                )
            self._granted = max(wanted, min(GRANT, free))
        self._granted -= wanted

    def _set_validator(self, etag: str | None) -> None:
        """Store the validator durably; `begun` distinguishes two beginnings with the same one."""
        sidecar = _sidecar(self.path)
        fresh = sidecar.with_suffix(".json~")
        with full_disk(self._name, _FULL), fresh.open("w", encoding="utf-8") as file:
            json.dump({"etag": etag, "begun": secrets.token_hex(8)}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(sidecar)
        flush_folder(sidecar.parent)
        self.etag = etag


def remove(path: Path) -> int:
    """Remove a part, which the caller has locked, and its validator; return the number of removed
    files.
    """
    sidecar = _sidecar(path)
    removed = sum(file.exists() for file in (path, sidecar))
    path.unlink(missing_ok=True)
    sidecar.unlink(missing_ok=True)
    return removed


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")


def _saved(path: Path) -> bytes:
    try:
        return _sidecar(path).read_bytes()
    except FileNotFoundError:
        return b""


def _validator(saved: bytes) -> str | None:
    try:
        etag = json.loads(saved)["etag"]
    except (ValueError, TypeError, KeyError):
        return None
    return etag if isinstance(etag, str) else None
