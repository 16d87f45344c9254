"""An account's chain: the entries that can be believed, and the faults of the others."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from archive import chain
from archive import paths as archive_paths
from archive.documents import chain_entry, reading
from archive.documents.chain_entry import Examined
from archive.errors import ArchiveError
from archive.problem import Problem
from archive.store.directory import Store

_SCHEMA = """
CREATE TABLE links (
    n INTEGER PRIMARY KEY, sha256 TEXT, previous TEXT, plain INTEGER, fault TEXT
);
CREATE TABLE covered (path TEXT, sha256 TEXT, n INTEGER);
CREATE INDEX by_path ON covered (path);
CREATE INDEX by_entry ON covered (n);
"""
_PAGE = 500
#: The most faults of one chain that are named; more are only counted.
_MOST_NAMED = 1000


class ChainCheck:
    """One account's chain, checked, and kept in a temporary file of SQLite. A context manager.

    An entry can be written with one sequence of bytes only, names the sum of the entry before it,
    and gives the sums of the files it covers. So a changed bit is found in any entry, including the
    newest, without a head. The next entry, or the head, shows whether the entry or a file was
    changed.
    """

    def __init__(
        self, store: Store, account: str, head: str | None = None, *, saved: Path | None = None
    ) -> None:
        """Read the chain, or continue with a check that another process ``saved``.

        ``head`` is the SHA-256 of the newest entry at some earlier time; the chain may have grown
        since.
        """
        self._store, self._account = store, account
        self._given = None if head is None else head.lower()
        self._newest = 0
        self._is_shared = saved is not None
        self.faults: list[Problem] = []
        if saved is not None:
            shared = f"{saved.as_uri()}?mode=ro&immutable=1"
            self._db = sqlite3.connect(shared, uri=True, isolation_level=None)
            (newest,) = self._db.execute("SELECT max(n) FROM links").fetchone()
            self._newest = newest or 0
            return
        self._db = _private()
        self._db.executescript(_SCHEMA)
        self._take(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    @property
    def is_empty(self) -> bool:
        """Whether there is no entry at all."""
        return self._newest == 0

    @property
    def is_whole(self) -> bool:
        """Whether every entry up to the newest is there and can be believed. If not, an entry
        that is damaged may cover a file that no other entry covers.
        """
        query = "SELECT count(*) FROM links WHERE fault IS NULL"
        return bool(self._db.execute(query).fetchone()[0] == self._newest)

    def covers(self, path: str) -> list[tuple[str, str]]:
        """Return the statements of believable entries about a file: its SHA-256, and the entry's
        path.
        """
        if not path.isprintable():
            return []
        rows = self._db.execute(
            "SELECT covered.sha256, n FROM covered JOIN links USING (n) "
            "WHERE path = ? AND fault IS NULL ORDER BY n",
            (path,),
        )
        return [
            (sha256, archive_paths.chain_path(self._account, number)) for sha256, number in rows
        ]

    def paths(self) -> Iterator[str]:
        """Yield every file that believable entries cover, sorted, each once."""
        last = ""
        while rows := self._db.execute(
            "SELECT DISTINCT path FROM covered JOIN links USING (n) "
            "WHERE path > ? AND fault IS NULL ORDER BY path LIMIT ?",
            (last, _PAGE),
        ).fetchall():
            for (last,) in rows:
                yield last

    def refresh(self) -> None:
        """Read the entries that were added since."""
        if self._store.exists(archive_paths.chain_path(self._account, self._newest + 1)):
            if self._is_shared:
                self._copy()
            self._take(self._newest + 1)

    def save(self, file: Path) -> None:
        """Save the check in a new file, for other processes to read."""
        with closing(sqlite3.connect(file, isolation_level=None)) as saved:
            saved.execute("PRAGMA synchronous=OFF")
            self._db.backup(saved)

    def _copy(self) -> None:
        """Continue with a copy of the shared file, which nobody may write to."""
        shared, self._db = self._db, _private()
        with closing(shared):
            shared.backup(self._db)
        self._is_shared = False

    def _take(self, first: int) -> None:
        self._db.execute("BEGIN")
        for number in chain.numbers(self._store, self._account, unlisted=True):
            if number >= first:
                self._read(number)
                self._newest = number
        self._db.execute("COMMIT")
        self.faults = self._named()

    def _read(self, number: int) -> None:
        sha256, previous = "", ""
        try:
            data = reading.read(self._store, archive_paths.chain_path(self._account, number))
            sha256 = hashlib.sha256(data).hexdigest()
            found = chain_entry.examine(data, number, self._account)
        except ArchiveError as error:
            found = Examined(f"cannot be read: {error.reason}")
        except OSError as error:
            found = Examined(f"cannot be read: {error.strerror}")
        if found.entry is not None:
            previous = found.entry.previous
            self._db.executemany(
                "INSERT INTO covered VALUES (?, ?, ?)",
                ((file.path, file.sha256, number) for file in found.entry.entries),
            )
        self._db.execute(
            "INSERT INTO links VALUES (?, ?, ?, ?, ?)",
            (number, sha256, previous, found.is_plain, found.fault),
        )

    def _named(self) -> list[Problem]:
        """Return the faults, of which 1,000 at most are named: a forger may write any number."""
        judged = self._judged()
        named, more = list(islice(judged, _MOST_NAMED)), sum(1 for _ in judged)
        if more:
            folder = archive_paths.chain_folder(self._account)
            entries = "1 more faulty entry" if more == 1 else f"{more} more faulty entries"
            named.append(Problem(folder, f"has {entries}"))
        return named

    def _judged(self) -> Iterator[Problem]:
        """Yield every fault of the chain; an entry with a fault is no longer believed."""
        expected = 1
        for number, fault in self._pages():
            if number > expected:
                yield self._gap(expected, number - 1)
            expected = number + 1
            found = fault or self._broken(number)
            if found:
                self._db.execute("UPDATE links SET fault = ? WHERE n = ?", (found, number))
                yield self._problem(number, found)
        for number, fault in self._pages():
            if fault is None and not self._is_confirmed(number):
                yield from self._contradicted(number)
        if self._given is not None and self._is_cut():
            yield self._cut()

    def _broken(self, number: int) -> str | None:
        """Return why a readable entry is not believed, or None.

        A broken link has two ends. The later end is believed if the entry after it, or the head,
        confirms it; otherwise the end that other evidence contradicts is not believed.
        """
        if self._is_confirmed(number):
            return None
        previous, plain = self._link(number, "previous, plain")
        if not plain:
            return "is not written as Earwitness writes entries: it was changed"
        following = self._link(number + 1, "fault, previous")
        if (
            following is not None
            and following[0] is None
            and (self._is_confirmed(number + 1) or self._mismatched(number))
        ):
            return (
                f"does not have the SHA-256 {following[1]}, which the next entry names as the one "
                "before it: it was changed or replaced"
            )
        before = self._link(number - 1, "sha256, fault")
        if number == 1 and previous != chain.NOTHING:
            return f"is the first entry, but names one before it ({previous}): it was changed"
        if before is None or before[1] is not None or before[0] == previous:
            return None
        return f"names {previous} as the entry before it, which has the SHA-256 {before[0]}"

    def _is_confirmed(self, number: int) -> bool:
        """Return whether the next entry, or the head, has the entry's sum."""
        own, following = self._link(number, "sha256"), self._link(number + 1, "previous, plain")
        if own is None or not own[0]:
            return False
        return own[0] == self._given or bool(following and following[0] == own[0])

    def _mismatched(self, number: int) -> str | None:
        """Return a file that the entry covers and that has another sum or is missing."""
        last = ""
        while rows := self._db.execute(
            "SELECT path, sha256 FROM covered WHERE n = ? AND path > ? ORDER BY path LIMIT ?",
            (number, last, _PAGE),
        ).fetchall():
            for last, sha256 in rows:
                if not self._has(last, sha256):
                    return str(last)
        return None

    def _has(self, path: str, sha256: str) -> bool:
        try:
            limit = reading.limit_of(path)
            if limit is not None and self._store.size(path) > limit.bytes:
                return False
            return self._store.checksum(path).sha256 == sha256
        except (ArchiveError, OSError, ValueError):
            return False

    def _contradicted(self, number: int) -> Iterator[Problem]:
        path = self._mismatched(number)
        if path is not None:
            yield self._problem(
                number,
                f"covers {path}, which has another SHA-256 or is missing: one of the two was "
                "changed, and no later entry shows which; give the chain head that you noted "
                "elsewhere (--head)",
            )

    def _pages(self) -> Iterator[tuple[int, str | None]]:
        last = 0
        while rows := self._db.execute(
            "SELECT n, fault FROM links WHERE n > ? ORDER BY n LIMIT ?", (last, _PAGE)
        ).fetchall():
            yield from rows
            last = rows[-1][0]

    def _link(self, number: int, columns: str) -> Any:
        query = f"SELECT {columns} FROM links WHERE n = ?"  # noqa: S608
        return self._db.execute(query, (number,)).fetchone()

    def _is_cut(self) -> bool:
        """Return whether no entry has the head's sum. A damaged newest entry may have had it."""
        newest = self._link(self._newest, "fault")
        given = "SELECT 1 FROM links WHERE sha256 = ?"
        found = self._db.execute(given, (self._given,)).fetchone()
        return found is None and (newest is None or newest[0] is None)

    def _gap(self, first: int, last: int) -> Problem:
        if first == last:
            return self._problem(first, "is missing: the chain has a gap")
        until = archive_paths.chain_path(self._account, last)
        return self._problem(
            first, f"is missing, as is every entry up to {until}: the chain has a gap"
        )

    def _cut(self) -> Problem:
        are = "is" if self._newest == 1 else "are"
        return self._problem(
            self._newest + 1,
            f"may be missing: no entry has the SHA-256 {self._given} that was given as the chain's "
            f"head; its newest entries were removed or replaced ({self._newest} {are} here), or "
            "the head belongs to another archive",
        )

    def _problem(self, number: int, message: str) -> Problem:
        return Problem(archive_paths.chain_path(self._account, number), message)


def _private() -> sqlite3.Connection:
    """Return a temporary database of this process alone."""
    database = sqlite3.connect("", isolation_level=None)
    database.execute("PRAGMA journal_mode=OFF")
    return database
