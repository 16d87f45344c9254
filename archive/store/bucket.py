"""An archive in a bucket of an object store: S3, Google Cloud Storage, Azure Blob Storage.

An object appears complete or not at all. Content that fits into memory is put under a free name
only (`If-None-Match: *`, or `x-goog-if-generation-match: 0`). A larger file is uploaded in parts,
for which there is no such condition: its name is bound to its content, so that a worker that
completes late writes the same bytes.
"""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError

from archive.errors import Missing, StoreAway, StoreRefused

from .object_client import opened
from .object_errors import is_taken, understood
from .object_reader import ObjectReader
from .parallel import in_parallel
from .protocol import (
    INCOMING,
    LARGEST_READ,
    PIECE,
    FileState,
    Stored,
    parts_of,
    refuse_another,
    refuse_changed,
    refuse_larger,
)

#: The largest file that is put in one piece, and so only under a free name.
ONE_PIECE = 32 * 1024 * 1024

_PART = 8 * 1024 * 1024
_MOST_PARTS = 10_000
_PARTS_AT_ONCE = 4
_BUFFER = 64 * 1024
_TRIAL = f"{INCOMING}/written-once"


class _Taken(Exception):
    """Another writer took the name of a file during its upload in parts."""


class ObjectStore:
    """An archive in a bucket. Any number of processes on any number of machines may use it at once.

    Credentials, region and endpoint come from the environment (`AWS_ACCESS_KEY_ID`,
    `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` and so on, as `obstore` documents
    them), a role of the container or of the machine. Nothing is ever removed.
    """

    def __init__(self, bucket: str, prefix: str = "", scheme: str = "s3") -> None:
        """Open the archive under `prefix` of `bucket`; no request is made yet.

        Parameters: `scheme`, one of `object_services.SERVICES`. Raises ValueError if the
        environment's variables of the bucket are invalid.
        """
        self._address = f"{scheme}://{bucket}/{prefix}".rstrip("/")
        self._bucket = opened(self._address, bucket, prefix)
        self._named = bucket, prefix, scheme

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[str, str, str]]:
        """Let another process open the same archive, with its own client and environment."""
        return ObjectStore, self._named

    @property
    def address(self) -> str:
        """`s3://bucket/prefix`, or the like of another object store."""
        return self._address

    def keep(
        self,
        path: str,
        source: Path,
        sha256: str,
        on_bytes: Callable[[int], None] | None = None,
        *,
        state: FileState | None = None,  # noqa: ARG002 - an object is a copy
    ) -> Stored:
        """Store a large file from the spool; see `Store.keep`. Its sum is read back."""
        if not self.exists(path):
            size = source.stat().st_size
            try:
                if size <= ONE_PIECE:
                    data = b"".join(_checked(path, source, sha256, on_bytes))
                    self.create(path, data)
                else:
                    self._upload(path, _checked(path, source, sha256, on_bytes), size)
            except (FileExistsError, _Taken):
                pass
            except StoreAway:
                # If only the answer to the last step was lost, the file is there.
                if not self.exists(path):
                    raise
        present = self.checksum(path, on_bytes)
        refuse_another(present, sha256)
        return present

    def create(self, path: str, data: bytes) -> Stored:
        """Store a small file if its path is free; see `Store.create`.

        FileExistsError is also raised if this very call stored the file, but its answer was lost
        and `obstore` tried again.
        """
        parts_of(path)
        if not self._put(path, data):
            raise FileExistsError(errno.EEXIST, "already in the archive", path)
        return Stored(path, len(data), hashlib.sha256(data).hexdigest())

    def create_all(self, files: Sequence[tuple[str, bytes]]) -> list[Stored | Exception]:
        """Put several objects at once; see `Store.create_all`."""
        return in_parallel(lambda file: self.create(*file), files)

    def read(self, path: str, most: int = LARGEST_READ) -> bytes:
        """Return all bytes of a small file; see `Store.read`."""
        parts_of(path)
        with understood(self._address, path):
            answer = obstore.get(self._bucket, path)
            refuse_larger(path, answer.meta["size"], most)
            return bytes(answer.bytes())

    def open(self, path: str) -> BinaryIO:
        """Return the object for reading, seekable, fetched in ranges as it is read. Raises Missing.

        The bytes are those at the time of opening: Damaged is raised if another object replaced it
        meanwhile.
        """
        parts_of(path)
        return io.BufferedReader(ObjectReader(self._bucket, self._address, path), _BUFFER)

    def size(self, path: str) -> int:
        """Return the object's size in bytes. Raises Missing."""
        parts_of(path)
        with understood(self._address, path):
            return obstore.head(self._bucket, path)["size"]

    def modified(self, path: str) -> float:
        """Return when the object was stored; see `Store.modified`."""
        parts_of(path)
        with understood(self._address, path):
            return obstore.head(self._bucket, path)["last_modified"].timestamp()

    def exists(self, path: str) -> bool:
        """Return whether the path has an object."""
        try:
            self.size(path)
        except Missing:
            return False
        return True

    def checksum(self, path: str, on_bytes: Callable[[int], None] | None = None) -> Stored:
        """Read the whole object and compute its sum; see `Store.checksum`."""
        parts_of(path)
        digest, size = hashlib.sha256(), 0
        for whole in ObjectReader(self._bucket, self._address, path).pieces():
            for start in range(0, len(whole), PIECE):
                piece = whole[start : start + PIECE]
                digest.update(piece)
                size += len(piece)
                if on_bytes:
                    on_bytes(len(piece))
        return Stored(path, size, digest.hexdigest())

    def paths(self, prefix: str = "", *, unlisted: bool = False) -> Iterator[str]:  # noqa: ARG002
        """Return every path that begins with `prefix`, sorted as the store lists them. There are
        no folders that could be `unlisted`.

        Raises StoreRefused if the paths come in another order: many files would be taken for
        missing.
        """
        return (path for path, _ in self.sizes(prefix))

    def sizes(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the same paths, each with its object's size in bytes."""
        folder, _, _ = prefix.rpartition("/")
        if folder:
            parts_of(folder)
        last = ""
        for path, size in self._listed(folder):
            if path <= last:
                raise StoreRefused(
                    self._address,
                    "lists its objects unsorted, unlike S3; use an object store that sorts them "
                    "(on Azure, an account without a hierarchical namespace)",
                )
            last = path
            if path.startswith(prefix) and not path.startswith(f"{INCOMING}/"):
                yield path, size

    def gives_names_once(self) -> bool:
        """See `Store.gives_names_once`. One small object remains for the next trial."""
        return not (self._put(_TRIAL, b"a trial") and self._put(_TRIAL, b"a second trial"))

    def _listed(self, folder: str) -> Iterator[tuple[str, int]]:
        listed = iter(obstore.list(self._bucket, prefix=folder or None, chunk_size=1000))
        while True:
            with understood(self._address):
                chunk = next(listed, None)
            if chunk is None:
                return
            for meta in chunk:
                if meta["size"] or self._is_file(meta["path"]):
                    yield meta["path"], meta["size"]

    def _is_file(self, listed: str) -> bool:
        """Return whether an empty object is a file. A console's "folder" has a name that ends with
        a slash, which obstore omits: the remaining name has no object.
        """
        try:
            with understood(self._address, listed):
                return bool(listed) and obstore.head(self._bucket, listed) is not None
        except Missing:
            return False

    def _put(self, path: str, data: bytes) -> bool:
        """Store an object if the path is free; return whether it was stored."""
        with understood(self._address):
            try:
                obstore.put(self._bucket, path, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PermissionDeniedError) as error:
                if not is_taken(self._address, error):
                    raise
                return False
        return True

    def _upload(self, path: str, pieces: Iterator[bytes], size: int) -> None:
        """Upload a file in parts. An exception of `pieces` aborts the upload and discards the sent
        parts.
        """
        with understood(self._address):
            obstore.put(
                self._bucket,
                path,
                self._unless_taken(path, pieces),
                chunk_size=max(_PART, size // _MOST_PARTS + 1),
                max_concurrency=_PARTS_AT_ONCE,
            )

    def _unless_taken(self, path: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield from pieces
        # The upload took long, and the last step would replace an object stored meanwhile. It runs
        # in a thread of its own because obstore requests the pieces inside its event loop.
        with ThreadPoolExecutor(1) as thread:
            if thread.submit(self.exists, path).result():
                raise _Taken


def _checked(
    path: str, source: Path, sha256: str, on_bytes: Callable[[int], None] | None
) -> Iterator[bytes]:
    """Yield the file's bytes in pieces. Raises Damaged after the last one if they have another
    sum.
    """
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            if on_bytes:
                on_bytes(len(piece))
            yield piece
    refuse_changed(path, digest.hexdigest(), sha256)
