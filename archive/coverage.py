"""What the chains vouch for: which file has which sum, by which entry."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from . import chain, layout
from .errors import ArchiveError
from .store import DirectoryStore

_PAGE = 500


@dataclass(frozen=True)
class Cover:
    """One statement of a chain: the sum that a file must have, and the entry that says so."""

    sha256: str
    entry: str


class Coverage:
    """The statements of all the chains given, kept in a temporary file of SQLite: they may be
    millions. A context manager. Entries that can not be read are left out.
    """

    def __init__(self, store: DirectoryStore, accounts: Iterable[str]) -> None:
        self._store = store
        self._read = dict.fromkeys(accounts, 0)
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute(
            "CREATE TABLE covered (path TEXT, sha256 TEXT, entry TEXT, PRIMARY KEY (path, sha256)) "
            "WITHOUT ROWID"
        )
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    def refresh(self) -> None:
        """Read the entries that were added since."""
        self._db.execute("BEGIN")
        for account, last in self._read.items():
            for number in chain.numbers(self._store, account):
                if number > last:
                    self._add(account, number)
                    self._read[account] = number
        self._db.execute("COMMIT")

    def covers(self, path: str) -> list[Cover]:
        """What the chains say about a file; several of them may speak of the ledger's name."""
        if not path.isprintable():
            return []
        rows = self._db.execute("SELECT sha256, entry FROM covered WHERE path = ?", (path,))
        return [Cover(*row) for row in rows]

    def paths(self) -> Iterator[str]:
        """Every file covered, sorted."""
        last = ""
        while rows := self._db.execute(
            "SELECT DISTINCT path FROM covered WHERE path > ? ORDER BY path LIMIT ?", (last, _PAGE)
        ).fetchall():
            for (last,) in rows:
                yield last

    @property
    def is_empty(self) -> bool:
        """Whether there is no chain, or none that can be read."""
        return self._db.execute("SELECT 1 FROM covered LIMIT 1").fetchone() is None

    def _add(self, account: str, number: int) -> None:
        try:
            entries = chain.read(self._store, account, number)["entries"]
        except (ArchiveError, OSError):
            return
        name = layout.chain_path(account, number)
        for entry in entries:
            path = entry["path"]
            if path == layout.IDENTITY_PATH or layout.is_of(account, path):
                self._db.execute(
                    "INSERT OR IGNORE INTO covered VALUES (?, ?, ?)", (path, entry["sha256"], name)
                )
