"""The claims of export manifests about the files beside them and about the members of ZIPs."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from archive import paths
from archive.documents import manifest as manifest_documents
from archive.documents import reading
from archive.documents.manifest import Manifest, Part
from archive.errors import ArchiveError, Missing
from archive.store.directory import Store, Stored
from archive.zip.verification import Member

from .chain_index import ChainIndex

_HELD = 8


@dataclass(frozen=True)
class Claims:
    """One manifest's claims; `manifest` is None for an erasure, whose fields are reserved."""

    manifest: Manifest | None
    siblings: dict[str, Stored]
    singles: list[Stored]
    parts: frozenset[str]
    members: int


@dataclass(frozen=True)
class Unusable:
    """A folder's manifest claims nothing: `fault` says why, None if there is no manifest yet."""

    fault: str | None


class Manifests:
    """The manifests of an archive, each read when its folder is inspected. A context manager.

    Members are kept in a temporary file of SQLite, for the few folders inspected last.
    """

    def __init__(self, store: Store, chains: ChainIndex) -> None:
        self._store = store
        self._chains = chains
        self._held: dict[str, Claims | Unusable] = {}
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.executescript(
            "CREATE TABLE members (n INTEGER PRIMARY KEY, folder TEXT, path TEXT, name TEXT, "
            "bytes INTEGER, sha256 TEXT);"
            "CREATE INDEX by_name ON members (path, name);"
            "CREATE INDEX by_folder ON members (folder);"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    def of(self, folder: str) -> Claims | Unusable:
        """Return the claims of a folder's manifest."""
        held = self._held.get(folder)
        if isinstance(held, Unusable) and held.fault is None:
            # In an archive in use, the manifest may have been written since.
            del self._held[folder]
        if folder not in self._held:
            while len(self._held) >= _HELD:
                oldest = next(iter(self._held))
                del self._held[oldest]
                self._db.execute("DELETE FROM members WHERE folder = ?", (oldest,))
            self._held[folder] = self._load(folder)
        return self._held[folder]

    def members(self, path: str) -> Iterator[Member]:
        """Yield the members that a ZIP should have, in its own order."""
        self.of(path.rpartition("/")[0])
        rows = self._db.execute(
            "SELECT name, bytes, sha256 FROM members WHERE path = ? ORDER BY n", (path,)
        )
        for row in rows:
            yield Member(*row)

    def measured(self, path: str) -> tuple[int, int]:
        """Return the number of members that a ZIP should have, and their unpacked bytes."""
        self.of(path.rpartition("/")[0])
        query = "SELECT count(*), total(bytes) FROM members WHERE path = ?"
        count, size = self._db.execute(query, (path,)).fetchone()
        return count, int(size)

    def hold(self, path: str, member: Member) -> bool:
        """Return whether a manifest claims that this member is in this ZIP. A damaged manifest
        counts as claiming it: its damage is reported at its own path.
        """
        claims = self.of(path.rpartition("/")[0])
        if isinstance(claims, Unusable) and claims.fault:
            return True
        found = self._db.execute(
            "SELECT 1 FROM members WHERE path = ? AND name = ? AND bytes = ? AND sha256 = ?",
            (path, member.name, member.bytes, member.sha256),
        ).fetchone()
        return found is not None

    def _load(self, folder: str) -> Claims | Unusable:
        path = paths.manifest_path(folder)
        self._db.execute("BEGIN")
        try:
            claims: Claims | Unusable = self._believed(folder, path)
        except Missing:
            claims = Unusable("is missing" if self._chains.covers(path) else None)
        except ArchiveError as error:
            claims = Unusable(error.reason)
        except OSError as error:
            claims = Unusable(f"cannot be read: {error.strerror}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, sqlite3.Error):
            claims = Unusable("is not readable as a manifest: it was changed")
        if isinstance(claims, Unusable):
            self._db.execute("DELETE FROM members WHERE folder = ?", (folder,))
        self._db.execute("COMMIT")
        return claims

    def _believed(self, folder: str, path: str) -> Claims | Unusable:
        """Return a manifest's claims, if the manifest has the sum that its chain gives."""
        data = reading.read(self._store, path)
        if self._chains.contradicts(Stored(path, len(data), hashlib.sha256(data).hexdigest())):
            return Unusable("cannot be relied on for the files it names")
        manifest = manifest_documents.parse(data, path)
        del data
        return self._claims(folder, manifest)

    def _claims(self, folder: str, manifest: Manifest | None) -> Claims | Unusable:
        if manifest is None:
            return Claims(None, {}, [], frozenset(), 0)
        recordings, members = manifest.recordings, 0
        siblings = {recordings.path: recordings}
        for part in manifest.parts:
            siblings[part.file.path] = part.file
            members += self._note_members(folder, part)
        if recordings.path != paths.recordings_path(folder) or any(
            path.rpartition("/")[0] != folder for path in siblings
        ):
            return Unusable("names files of another folder as its own: it was changed or moved")
        singles = [single.file for single in manifest.files]
        parts = frozenset(siblings) - {recordings.path}
        # The document's members may need much memory, and are noted.
        return Claims(replace(manifest, parts=(), files=()), siblings, singles, parts, members)

    def _note_members(self, folder: str, part: Part) -> int:
        """Note the members that a manifest claims of a ZIP; return their number."""
        count = 0
        for count, one in enumerate(part.members, 1):  # noqa: B007 - the last number counts
            self._db.execute(
                "INSERT INTO members (folder, path, name, bytes, sha256) VALUES (?,?,?,?,?)",
                (folder, part.file.path, one.name, one.bytes, one.sha256),
            )
        return count
