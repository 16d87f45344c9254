"""The store: files that are written once, found under their path, and never changed.

A file appears under its path complete or not at all. It is prepared under a temporary name in a
folder of its own, flushed to the disk and then linked to its path; a link never replaces an
existing file. The whole archive lies on one filesystem, since a link cannot cross to another.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from archive.errors import ArchiveFull, Dangerous, Missing
from config.storage import OBJECT_ADDRESSES, OBJECT_STORES

from .directory_walk import walk
from .fsync import flush_folder, full_disk, leave_cache, make_folder
from .protocol import (
    FULL,
    INCOMING,
    LARGEST_READ,
    PIECE,
    FileState,
    Store,
    Stored,
    parts_of,
    refuse_another,
    refuse_changed,
    refuse_larger,
    summed,
)
from .together import create_all

__all__ = ["INCOMING", "PIECE", "DirectoryStore", "Store", "Stored", "open_store"]

ABANDONED_AFTER_SECONDS = 24 * 3600
#: How long after a look for abandoned files the next one follows.
_LOOK_SECONDS = 600.0

_LEADS_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}

_IN_A_CIRCLE = "is a link that leads to itself"


class DirectoryStore:
    """An archive in a directory. Any number of processes may use the same one at once."""

    def __init__(self, root: Path, *, begins: bool = True) -> None:
        """Open the archive under `root`. If it `begins` an archive, `root` is created with the
        first stored file; otherwise nothing is stored if `root` is missing.
        """
        self.root = root
        self._begins = begins
        self._look_at = 0.0

    @property
    def address(self) -> str:
        """The directory."""
        return str(self.root)

    def keep(
        self,
        path: str,
        source: Path,
        sha256: str,
        on_bytes: Callable[[int], None] | None = None,
        *,
        state: FileState | None = None,
    ) -> Stored:
        """Store a large file from the spool; see `Store.keep`.

        On the same filesystem, `source` and the stored file become one read-only file with two
        names. It gets its name in the archive after its sum is known and its bytes are durable.
        """
        target = self._full(path)
        if not os.path.lexists(target):
            with self._temporary(path) as temporary:
                known = state if state and state == FileState.of(source) else None
                _link_or_copy(source, temporary, on_bytes)
                stored = _seal(temporary, path, sha256, on_bytes, known)
                if _link(temporary, target, self.root):
                    return stored
        return self._adopt(path, sha256, on_bytes)

    def create(self, path: str, data: bytes) -> Stored:
        """Store a small file if its path is free; see `Store.create`."""
        (outcome,) = self.create_all([(path, data)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def create_all(self, files: Sequence[tuple[str, bytes]]) -> list[Stored | Exception]:
        """Store small files whose paths are free; see `Store.create_all`."""
        return create_all(files, self.root, self._place, self._prepare, self._new_name)

    def read(self, path: str, most: int = LARGEST_READ) -> bytes:
        """Return all bytes of a small file; see `Store.read`."""
        with self.open(path) as file:
            refuse_larger(path, os.fstat(file.fileno()).st_size, most)
            data = file.read(most + 1)
        refuse_larger(path, len(data), most)
        return data

    def open(self, path: str) -> BinaryIO:
        """Return the file for reading, seekable; the caller closes it. Raises Missing,
        Dangerous.
        """
        full = self._place(path)
        if not self._is_plain(path):
            self._refuse_strange(path)
        try:
            descriptor = os.open(full, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(path, "is not in the archive") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Dangerous(path, "is not a plain file")
        return os.fdopen(descriptor, "rb")

    def size(self, path: str) -> int:
        """Return the file's size in bytes. Raises Missing, Dangerous."""
        with self.open(path) as file:
            return os.fstat(file.fileno()).st_size

    def modified(self, path: str) -> float:
        """Return when the file was stored; see `Store.modified`."""
        try:
            return self._full(path).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(path, "is not in the archive") from None

    def exists(self, path: str) -> bool:
        """Return whether the path has a file."""
        try:
            return stat.S_ISREG(Path(self._place(path)).stat().st_mode)
        except OSError as error:
            if error.errno not in {*_LEADS_NOWHERE, errno.ENAMETOOLONG}:
                raise
            return False

    def checksum(self, path: str, on_bytes: Callable[[int], None] | None = None) -> Stored:
        """Read the whole file and compute its sum; see `Store.checksum`."""
        with self.open(path) as file:
            return summed(file, path, on_bytes)

    def paths(self, prefix: str = "", *, unlisted: bool = False) -> Iterator[str]:
        """Return every path that begins with `prefix` (any string, as in an object store), sorted;
        see `Store.paths`.

        Temporary names are never listed. The names of one folder of each level are held in memory.
        """
        folder, _, _ = prefix.rpartition("/")
        if folder:
            self._full(folder)
        return walk(self.root, folder, prefix, unlisted=unlisted)

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the same paths, each with its file's size in bytes; a link has the size of its
        target.
        """
        for path in self.paths(prefix):
            try:
                yield path, (self.root / path).stat().st_size
            except OSError as error:
                if error.errno not in _LEADS_NOWHERE:
                    raise

    def gives_names_once(self) -> bool:
        """See `Store.gives_names_once`. The written files are not part of the archive, and are
        removed.
        """
        folder = self.root / INCOMING / f"trial-{secrets.token_hex(16)}"
        trial = DirectoryStore(folder)
        try:
            trial.create("name", b"first")
            trial.create("name", b"second")
        except FileExistsError:
            return True
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return False

    def _full(self, path: str) -> Path:
        return self.root.joinpath(*parts_of(path))

    def _place(self, path: str) -> str:
        """Return the same as `_full`, as text: a `Path` costs more than opening the file does."""
        return f"{self.root}/{'/'.join(parts_of(path))}"

    def _is_plain(self, path: str) -> bool:
        """Return whether the path is that of a plain file and none of its names is a link."""
        at, mode = str(self.root), 0
        for name in path.split("/"):
            at = f"{at}/{name}"
            try:
                mode = os.lstat(at).st_mode
            except OSError:
                return False
            if stat.S_ISLNK(mode):
                return False
        return stat.S_ISREG(mode)

    def _refuse_strange(self, path: str) -> None:
        """Raise the error of a path with links, or of one that is no plain file, unless it leads to
        a plain file inside the archive.
        """
        full = self._full(path)
        try:
            if not full.resolve().is_relative_to(self.root.resolve()):
                raise Dangerous(
                    path, "is a link that leads out of the archive; it was not followed"
                )
        except RuntimeError:  # from Python 3.13 on, only stat() says so
            raise Dangerous(path, _IN_A_CIRCLE) from None
        try:
            # A pipe, a socket or a device is not even opened.
            if not stat.S_ISREG(full.stat().st_mode) and os.access(full, os.R_OK):
                raise Dangerous(path, "is not a plain file")
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(path, "is not in the archive") from None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise Dangerous(path, _IN_A_CIRCLE) from None

    def _adopt(self, path: str, sha256: str, on_bytes: Callable[[int], None] | None) -> Stored:
        present = self.checksum(path, on_bytes)
        refuse_another(present, sha256)
        make_folder(self._full(path).parent, self.root)
        flush_folder(self._full(path).parent)
        return present

    @contextmanager
    def _temporary(self, path: str) -> Iterator[Path]:
        temporary = Path(self._new_name())
        try:
            with full_disk(path, FULL, ArchiveFull):
                self._prepare()
                yield temporary
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _new_name(self) -> str:
        return f"{self.root}/{INCOMING}/{int(time.time())}-{secrets.token_hex(16)}"

    def _prepare(self) -> None:
        """Make the folder of files that are being stored, and remove those of killed processes."""
        incoming = self.root / INCOMING
        make_folder(incoming, None if self._begins else self.root)
        self._remove_abandoned(incoming)

    def _remove_abandoned(self, incoming: Path) -> None:
        """Remove the files of killed processes, at most once in a while; a name begins with the
        second of its creation.
        """
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_SECONDS
        for left in incoming.iterdir():
            made, _, _ = left.name.partition("-")
            if made.isdigit() and time.time() - int(made) > ABANDONED_AFTER_SECONDS:
                left.unlink(missing_ok=True)


def open_store(url: str, *, begins: bool = True) -> Store:
    """Return the archive that `url` names: the absolute path of a directory, or
    `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`. If it `begins` an
    archive, a missing directory is created with the first file.

    Raises ValueError if the archive would lie elsewhere, or the bucket's settings in the
    environment are invalid.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in OBJECT_STORES:
        bucket, _, prefix = rest.partition("/")
        if not bucket:
            place = OBJECT_STORES[scheme]
            raise ValueError(f"{url!r} names no {place}; write it like {scheme}://{place}/prefix")
        from .bucket import ObjectStore  # noqa: PLC0415 - its library, for those who have a bucket

        return ObjectStore(bucket, prefix.strip("/"), scheme)
    if separator:
        raise ValueError(
            f"an archive cannot be at {scheme}://; give the absolute path of a directory or "
            f"{OBJECT_ADDRESSES}"
        )
    if not Path(url).is_absolute():
        raise ValueError(
            f"an archive cannot be at {url!r}, which is not an absolute path; give the "
            f"absolute path of a directory or {OBJECT_ADDRESSES}"
        )
    return DirectoryStore(Path(url), begins=begins)


def _link_or_copy(source: Path, temporary: Path, on_bytes: Callable[[int], None] | None) -> None:
    try:
        os.link(source, temporary)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        with source.open("rb") as given, temporary.open("xb") as own:
            while piece := given.read(PIECE):
                own.write(piece)
                if on_bytes:
                    on_bytes(len(piece))
        shutil.copymode(source, temporary)


def _seal(
    temporary: Path,
    path: str,
    sha256: str,
    on_bytes: Callable[[int], None] | None,
    known: FileState | None,
) -> Stored:
    """Make the file durable and read-only if its sum is right.

    The sum is read back, unless it is known of this very file and nobody has written to it since.
    """
    with temporary.open("rb") as file:
        if known is not None and known.is_only_renamed(FileState.of(file.fileno())):
            stored = Stored(path, known.size, sha256)
        else:
            stored = summed(file, path, on_bytes)
            refuse_changed(path, stored.sha256, sha256)
        os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode & 0o444)
        # Its age counts from here on, even if the download of its bytes ended long ago.
        os.utime(file.fileno())
        os.fsync(file.fileno())
        leave_cache(file.fileno(), stored.bytes)
    return stored


def _link(temporary: Path, target: Path, root: Path) -> bool:
    """Give the file its name, durably; return False if the name is taken (then that file is
    durable).
    """
    make_folder(target.parent, root)
    try:
        os.link(temporary, target)
        linked = True
    except FileExistsError:
        linked = False
    flush_folder(target.parent)
    return linked
