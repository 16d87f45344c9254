"""Which files that the ledger vouches for are gone from the archive, as a listing shows.

No file is read. What must be there is written into a temporary file of SQLite, since a ledger may
hold years, and compared with the sorted listing in one pass.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from archive import layout
from archive.errors import Missing
from archive.listening import ENDINGS
from archive.store import Store
from ledger.job import Job
from ledger.ledger import Ledger
from ledger.vouched import VouchedFile

_SCHEMA = """
CREATE TABLE wanted (path TEXT, bytes INTEGER, job_id TEXT, day TEXT, number INTEGER);
"""
_ROWS = 1_000
#: path, bytes, job_id, day, number of a receipt
Row = tuple[str, int | None, str, str | None, int | None]


@dataclass
class Gone:
    """What an account's part of the archive lacks: by day, the paths of its files; the receipts of
    calls by job id and number; other files by path, with the job that stored them.
    """

    days: dict[date, set[str]] = field(default_factory=dict)
    receipts: dict[str, dict[int, str]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    def paths(self) -> list[str]:
        """Every path, sorted."""
        of_days = [path for paths in self.days.values() for path in paths]
        of_calls = [path for numbers in self.receipts.values() for path in numbers.values()]
        return sorted({*of_days, *of_calls, *self.others})


def gone(store: Store, ledger: Ledger, account: str) -> Gone:
    """Everything of an account that is not there any more, is empty though it cannot be, or has
    another size than the ledger knows. Lists the account's folder once.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as wanted:
        wanted.executescript(_SCHEMA)
        wanted.execute("BEGIN")
        _note(wanted, ledger.archived.stored(account))
        _note_receipts(wanted, ledger, account)
        return _compared(wanted, store.sizes(f"{account}/"), store)


def gone_of_day(store: Store, ledger: Ledger, account: str, day: date) -> set[str]:
    """The same of one day alone."""
    with closing(sqlite3.connect("", isolation_level=None)) as wanted:
        wanted.executescript(_SCHEMA)
        wanted.execute("BEGIN")
        _note(wanted, ledger.archived.stored(account, day))
        sizes = (one for prefix in _folders(account, day) for one in store.sizes(prefix))
        return _compared(wanted, sizes, store).days.get(day, set())


def gone_of_job(store: Store, ledger: Ledger, job: Job) -> set[str]:
    """The same of one job, whose files are asked for one by one."""
    with closing(sqlite3.connect("", isolation_level=None)) as wanted:
        wanted.executescript(_SCHEMA)
        _note(wanted, ledger.archived.stored_by(job))
        return {
            row[0] for row in _sorted(wanted) if not _is_there(row, _size(store, row[0]), store)
        }


def _size(store: Store, path: str) -> int | None:
    try:
        return store.size(path)
    except Missing:
        return None


def _folders(account: str, day: date) -> list[str]:
    """Where the files of a day's exports lie."""
    singles = layout.recording_path(account, day, "x", "mp3").rpartition("/")[0]
    return [f"{layout.exports_folder(account, day)}/", f"{singles}/"]


def _note(wanted: sqlite3.Connection, files: Iterator[VouchedFile]) -> None:
    for file in files:
        day = None if file.day is None else file.day.isoformat()
        rows = [(file.path, file.bytes, file.job_id, day, None)]
        if layout.kind_of(file.path) == "manifest":
            folder = file.path.rpartition("/")[0]
            rows.append((layout.recordings_path(folder), None, file.job_id, day, None))
        elif layout.kind_of(file.path) == "metadata":
            # Of one format or another, as `_is_there` knows.
            rows.append((_audio_path(file.path), None, file.job_id, day, None))
        wanted.executemany("INSERT INTO wanted VALUES (?, ?, ?, ?, ?)", rows)


def _audio_path(metadata: str) -> str:
    return f"{metadata.removesuffix('.json')}.mp3"


def _note_receipts(wanted: sqlite3.Connection, ledger: Ledger, account: str) -> None:
    for call in ledger.archived.receipts(account):
        month = datetime.fromtimestamp(call.since, UTC).date()
        for number in set(range(1, call.count + 1)) - call.owed:
            path = layout.receipt_path(account, month, call.job_id, number)
            wanted.execute(
                "INSERT INTO wanted VALUES (?, NULL, ?, NULL, ?)", (path, call.job_id, number)
            )


def _compared(wanted: sqlite3.Connection, sizes: Iterator[tuple[str, int]], store: Store) -> Gone:
    found = Gone()
    path, size = next(sizes, (None, 0))
    for row in _sorted(wanted):
        while path is not None and path < row[0]:
            path, size = next(sizes, (None, 0))
        held = size if path == row[0] else None
        if not _is_there(row, held, store):
            _sort_in(found, row)
    for _ in sizes:
        pass  # to its end, where the store says whether this was the archive at all
    return found


def _sorted(
    wanted: sqlite3.Connection,
) -> Iterator[tuple[str, int | None, str, str | None, int | None]]:
    """Every file once for each job, its size where any row knows it."""
    rows = wanted.execute(
        "SELECT path, max(bytes), job_id, max(day), max(number) FROM wanted "
        "GROUP BY path, job_id ORDER BY path"
    )
    while some := rows.fetchmany(_ROWS):
        yield from some


def _is_there(row: Row, held: int | None, store: Store) -> bool:
    path, size = row[0], row[1]
    if held is None and path.endswith(".mp3") and size is None:
        # The ledger knows the metadata alone, and the audio may be of another format.
        stem = path.removesuffix(".mp3")
        return any(store.exists(f"{stem}.{ending}") for ending in ENDINGS if ending != "mp3")
    if held is None or size is not None:
        return held is not None and held == size
    return held > 0 or _may_be_empty(path)


def _may_be_empty(path: str) -> bool:
    """Whether a file holds nothing where there is nothing to list: the list of a day without a
    recording.
    """
    return path == layout.recordings_path(path.rpartition("/")[0])


def _sort_in(found: Gone, row: Row) -> None:
    path, _, job_id, day, number = row
    if number is not None:
        found.receipts.setdefault(job_id, {})[number] = path
    elif day is not None:
        found.days.setdefault(date.fromisoformat(day), set()).add(path)
    else:
        found.others[path] = job_id
