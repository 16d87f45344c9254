"""Finds files that the ledger vouches for and that a listing of the archive lacks.

No file is read. The expected files are written into a temporary SQLite file, since a ledger may
hold years, and compared with the sorted listing in one pass.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TypeVar

from archive import paths as archive_paths
from archive.audio.detection import ENDINGS
from archive.documents import metadata
from archive.errors import ArchiveError, Dangerous, Missing
from archive.store.directory import Store
from ledger.archive_files import VouchedFile
from ledger.core.job import Job
from ledger.ledger import Ledger

#: ``held`` has the paths, without their endings, of audio files that are there.
_SCHEMA = """
CREATE TABLE wanted (path TEXT, bytes INTEGER, job_id TEXT, day TEXT, number INTEGER);
CREATE TABLE held (stem BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_ROWS = 1_000
#: The ending of audio of unknown format.
_ANY = ".*"
#: Sorts after every path.
_END = "\U0010ffff"
Item = TypeVar("Item")
#: path, bytes, job_id, day, number of a receipt
Row = tuple[str, int | None, str, str | None, int | None]


@dataclass
class Gone:
    """The files that an account's part of the archive lacks.

    ``days`` holds the paths by day, ``receipts`` those of calls by job id and number, and
    ``others`` other files by path, with the job that stored them.
    """

    days: dict[date, set[str]] = field(default_factory=dict)
    receipts: dict[str, dict[int, str]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    def paths(self) -> list[str]:
        """Return every path, sorted."""
        of_days = [path for paths in self.days.values() for path in paths]
        of_calls = [path for numbers in self.receipts.values() for path in numbers.values()]
        return sorted({*of_days, *of_calls, *self.others})


def gone(
    store: Store, ledger: Ledger, account: str, on_file: Callable[[], object] | None = None
) -> Gone:
    """Return the files of an account that are missing, empty or of another size than expected.

    The ledger gives the expected sizes. Lists the account's folder once. ``on_file`` is called for
    each file that the ledger or the archive names, as a sign of life.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as wanted:
        wanted.executescript(_SCHEMA)
        wanted.execute("BEGIN")
        _note(wanted, _counted(ledger.archive_record.stored(account), on_file))
        _note_receipts(wanted, ledger, account)
        return _compared(wanted, _counted(store.sizes(f"{account}/"), on_file), store)


def _counted(found: Iterator[Item], on_file: Callable[[], object] | None) -> Iterator[Item]:
    """Yield the same items, and call ``on_file`` before each."""
    for one in found:
        if on_file is not None:
            on_file()
        yield one


def gone_of_day(store: Store, ledger: Ledger, account: str, day: date) -> set[str]:
    """Return such files of one day."""
    with closing(sqlite3.connect("", isolation_level=None)) as wanted:
        wanted.executescript(_SCHEMA)
        wanted.execute("BEGIN")
        _note(wanted, ledger.archive_record.stored(account, day))
        sizes = (one for folder in _folders(wanted) for one in store.sizes(folder))
        return _compared(wanted, sizes, store).days.get(day, set())


def gone_of_job(store: Store, ledger: Ledger, job: Job) -> set[str]:
    """Return such files of one job; each file is looked up by itself."""
    with closing(sqlite3.connect("", isolation_level=None)) as wanted:
        wanted.executescript(_SCHEMA)
        _note(wanted, ledger.archive_record.stored_by(job))
        rows = list(_sorted(wanted))
        return {_named(store, row[0]) for row in rows if not _is_there(row, _size(store, row[0]))}


def _size(store: Store, path: str) -> int | None:
    """Return the size of a file, or None.

    For audio in any format, this is the size of the first one found.
    """
    stem = _stem(path)
    paths = [path] if stem is None else [f"{stem}.{ending}" for ending in ENDINGS]
    for one in paths:
        try:
            return store.size(one)
        except (Dangerous, Missing):
            continue
    return None


def _folders(wanted: sqlite3.Connection) -> list[str]:
    """Return the folders of all expected files, in the order of the paths in them."""
    paths = wanted.execute("SELECT DISTINCT path FROM wanted")
    return sorted({f"{path.rpartition('/')[0]}/" for (path,) in paths})


def _note(wanted: sqlite3.Connection, files: Iterator[VouchedFile]) -> None:
    for file in files:
        day = None if file.day is None else file.day.isoformat()
        rows = [(file.path, file.bytes, file.job_id, day, None)]
        if archive_paths.kind_of(file.path) == "manifest":
            folder = file.path.rpartition("/")[0]
            rows.append((archive_paths.recordings_path(folder), None, file.job_id, day, None))
        elif archive_paths.kind_of(file.path) == "metadata":
            rows.append((_any_audio(file.path), None, file.job_id, day, None))
        wanted.executemany("INSERT INTO wanted VALUES (?, ?, ?, ?, ?)", rows)


def _any_audio(metadata_path: str) -> str:
    """Return the placeholder for the audio of a recording whose metadata alone the ledger knows."""
    return f"{metadata_path.removesuffix('.json')}{_ANY}"


def _named(store: Store, path: str) -> str:
    """Return the path; for audio in any format, the path that its metadata names, if readable."""
    stem = _stem(path)
    if stem is None:
        return path
    try:
        return metadata.audio_path(store, f"{stem}.json")
    except ArchiveError:
        return path


def _stem(path: str) -> str | None:
    """Return the path without its ending if it stands for audio in any format, else None."""
    return path.removesuffix(_ANY) if path.endswith(_ANY) else None


def _note_receipts(wanted: sqlite3.Connection, ledger: Ledger, account: str) -> None:
    for call in ledger.archive_record.receipts(account):
        month = datetime.fromtimestamp(call.since, UTC).date()
        for number in set(range(1, call.count + 1)) - call.pending:
            path = archive_paths.receipt_path(account, month, call.job_id, number)
            wanted.execute(
                "INSERT INTO wanted VALUES (?, NULL, ?, NULL, ?)", (path, call.job_id, number)
            )


def _compared(wanted: sqlite3.Connection, sizes: Iterator[tuple[str, int]], store: Store) -> Gone:
    found, path, size = Gone(), "", 0
    for row in _sorted(wanted):
        if _stem(row[0]) is not None:
            continue  # answered at the end: its audio may come later in the listing
        while path < row[0]:
            path, size = next(sizes, (_END, 0))
            _note_held(wanted, path, size)
        if not _is_there(row, size if path == row[0] else None):
            _sort_in(found, row)
    # The listing is read to its end, where the store raises if this was not the archive.
    for path, size in sizes:
        _note_held(wanted, path, size)
    for row in _sorted(wanted):
        stem = _stem(row[0])
        if stem is not None and not _is_held(wanted, stem):
            _sort_in(found, (_named(store, row[0]), *row[1:]))
    return found


def _note_held(wanted: sqlite3.Connection, path: str, size: int) -> None:
    if size and archive_paths.kind_of(path) == "audio":
        stem = path.rpartition(".")[0]
        wanted.execute("INSERT OR IGNORE INTO held VALUES (?)", (os.fsencode(stem),))


def _is_held(wanted: sqlite3.Connection, stem: str) -> bool:
    found = wanted.execute("SELECT 1 FROM held WHERE stem = ?", (os.fsencode(stem),))
    return found.fetchone() is not None


def _sorted(wanted: sqlite3.Connection) -> Iterator[Row]:
    """Yield every file once for each job, with its size if any row has it."""
    rows = wanted.execute(
        "SELECT path, max(bytes), job_id, max(day), max(number) FROM wanted "
        "GROUP BY path, job_id ORDER BY path"
    )
    while some := rows.fetchmany(_ROWS):
        yield from some


def _is_there(row: Row, held: int | None) -> bool:
    path, size = row[:2]
    # The list of a day without recordings is empty; every other file has bytes.
    is_whole = bool(held) or archive_paths.kind_of(path) == "recordings"
    return held is not None and is_whole and size in (None, held)


def _sort_in(found: Gone, row: Row) -> None:
    path, _, job_id, day, number = row
    if number is not None:
        found.receipts.setdefault(job_id, {})[number] = path
    elif day is not None:
        found.days.setdefault(date.fromisoformat(day), set()).add(path)
    else:
        found.others[path] = job_id
