"""The recordings that newer lists name, kept on disk, since their number has no limit."""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Self


class SpokenFor:
    """Ids of recordings by the list that named them first, in a temporary file of SQLite. A context
    manager.
    """

    def __init__(self) -> None:
        self._list = 0
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("CREATE TABLE ids (id BLOB PRIMARY KEY, list INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    def next_list(self) -> None:
        """Begin the next list: all later ids belong to it."""
        self._list += 1

    def note(self, recording_id: str) -> bool:
        """Note that the current list names a recording; return whether an earlier list did."""
        key = recording_id.encode("utf-8", "surrogatepass")
        noted = self._db.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (key, self._list))
        return noted.rowcount == 0 and recording_id in self

    def __contains__(self, recording_id: str) -> bool:
        """Return whether an earlier list names a recording."""
        key = recording_id.encode("utf-8", "surrogatepass")
        query = "SELECT 1 FROM ids WHERE id = ? AND list < ?"
        return self._db.execute(query, (key, self._list)).fetchone() is not None
