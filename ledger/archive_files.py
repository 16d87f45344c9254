"""The files that a ledger vouches for, row by row: the files that ended jobs stored, and the files
under a chain.

A ledger may hold years of rows, so rows come in pages and are not all held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, Select, func, select

from .call_outcomes import KIND
from .core import states
from .core.database import Database
from .core.job import Job
from .core.prepared import by_no_index
from .core.schema import calls, jobs, obligations

_PAGE = 1_000
#: The kinds of jobs whose result names a file of their own.
_SINGLES = ("recording.download", "recording.collect")


@dataclass(frozen=True, slots=True)
class VouchedFile:
    """A file of the archive.

    The file's path, its size in bytes if the ledger knows it, the job that stored it, and the day
    that the job exported, if any.
    """

    path: str
    bytes: int | None
    job_id: str
    day: date | None = None


@dataclass(frozen=True, slots=True)
class VouchedReceipts:
    """The receipts of a call: their number, except the ``pending`` ones, which are not yet written.
    ``since`` is the time (seconds since 1970) that decides their month.
    """

    job_id: str
    since: float
    count: int
    pending: frozenset[int]


def stored(database: Database, account: str, day: date | None = None) -> Iterator[VouchedFile]:
    """Yield the files that ended jobs of an account stored, for all days or for one.

    The files are manifests, ZIPs, and single recordings (the audio if the job's result names it,
    otherwise the metadata).
    """
    for rows in _pages(database, _runs(account, day), jobs.c.request_id):
        runs = {row.job_id: _day_of(row) for row in rows}
        for row in rows:
            yield from _named(row, runs[row.job_id])
        yield from _parts(database, runs)
        yield from _chained(database, runs)
    if day is None:
        for kind in ("export.retrieve", *_SINGLES):
            own = _ended(account, kind).where(jobs.c.parent_id.is_(None))
            for rows in _pages(database, own, jobs.c.request_id):
                for row in rows:
                    yield from _named(row, None)
                yield from _chained(database, {row.job_id: None for row in rows})


def of_job(database: Database, job: Job) -> Iterator[VouchedFile]:
    """Yield the files that one job stored, including the files of its parts."""
    wanted = _ended(job.account, job.kind).where(jobs.c.job_id == job.job_id)
    for row in database.read(lambda connection: connection.execute(wanted).all()):
        yield from _named(row, None)
        yield from _parts(database, {job.job_id: None})
        yield from _chained(database, {job.job_id: None})


def receipts(database: Database, account: str) -> Iterator[VouchedReceipts]:
    """Yield the receipts of an account's certified calls."""
    wanted = select(jobs.c.job_id, jobs.c.request_id, jobs.c.created_at).where(
        jobs.c.account == account, jobs.c.kind == KIND
    )
    for rows in _pages(database, wanted, jobs.c.request_id):
        opened_at = {row.job_id: row.created_at for row in rows}
        pending = _pending(database, list(opened_at))
        for row in _with_receipts(database, list(opened_at)):
            since = opened_at[row.job_id] if row.sent_at is None else row.sent_at
            yield VouchedReceipts(
                row.job_id, since, row.receipts, frozenset(pending.get(row.job_id, ()))
            )


def unchained(database: Database, job_ids: Sequence[str] | None = None) -> Sequence[dict[str, Any]]:
    """Return the entries that the chain still lacks, of these jobs or of all jobs."""
    c = obligations.c
    wanted = select(c.payload).where(c.kind == "chain")
    if job_ids is None:
        wanted = wanted.where(c.discharged_at.is_(None))
    else:
        wanted = wanted.where(c.job_id.in_(job_ids), by_no_index(c.discharged_at).is_(None))
    return database.read(lambda connection: connection.execute(wanted).scalars().all())


def _runs(account: str, day: date | None) -> Select[Any]:
    wanted = _ended(account, "export.run")
    if day is None:
        return wanted
    prefix = f"day:{day.isoformat()}#"
    return wanted.where(func.substr(jobs.c.request_id, 1, len(prefix)) == prefix)


def _ended(account: str, kind: str) -> Select[Any]:
    c = jobs.c
    return select(c.job_id, c.request_id, c.parameters, c.result, c.work).where(
        c.account == account,
        c.kind == kind,
        c.state.in_((states.DONE, states.FAILED)),
        c.result.is_not(None),
    )


def _named(row: Row[Any], day: date | None) -> Iterator[VouchedFile]:
    """Yield the files that a job's result names, and the files that a rebuild read from the job's
    manifest. (The manifest of a run that this ledger saw is among the files under the chain.)
    """
    result = row.result or {}
    if "path" in result:
        yield VouchedFile(result["path"], result.get("bytes"), row.job_id, day)
    for path, size in (row.work or {}).get("archived", []):
        yield VouchedFile(path, size, row.job_id, day)


def _day_of(row: Row[Any]) -> date | None:
    named = row.parameters.get("day")
    return None if named is None else date.fromisoformat(named)


def _parts(database: Database, runs: dict[str, date | None]) -> Iterator[VouchedFile]:
    c = jobs.c
    wanted = select(c.parent_id, c.result).where(
        c.parent_id.in_(list(runs)),
        by_no_index(c.state) == states.DONE,
        c.result.is_not(None),
    )
    for row in database.read(lambda connection: connection.execute(wanted).all()):
        if "path" in row.result:
            yield VouchedFile(
                row.result["path"], row.result.get("bytes"), row.parent_id, runs[row.parent_id]
            )


def _chained(database: Database, found: dict[str, date | None]) -> Iterator[VouchedFile]:
    """Yield files of jobs that are under the chain or are about to be."""
    c = obligations.c
    wanted = select(c.job_id, c.payload).where(c.kind == "chain", c.job_id.in_(list(found)))
    for row in database.read(lambda connection: connection.execute(wanted).all()):
        yield VouchedFile(row.payload["path"], None, row.job_id, found[row.job_id])


def _with_receipts(database: Database, job_ids: Sequence[str]) -> list[Row[Any]]:
    c = calls.c
    wanted = select(c.job_id, c.sent_at, c.receipts).where(c.job_id.in_(job_ids), c.receipts > 0)
    return database.read(lambda connection: [*connection.execute(wanted)])


def _pending(database: Database, job_ids: Sequence[str]) -> dict[str, set[int]]:
    c = obligations.c
    wanted = select(c.job_id, c.payload).where(
        c.kind == "receipt", by_no_index(c.discharged_at).is_(None), c.job_id.in_(job_ids)
    )
    pending: dict[str, set[int]] = {}
    for row in database.read(lambda connection: connection.execute(wanted).all()):
        pending.setdefault(row.job_id, set()).add(int(row.payload["number"]))
    return pending


def _pages(database: Database, wanted: Select[Any], key: Any) -> Iterable[list[Row[Any]]]:
    """Yield the rows in pages of a thousand, ordered by a column that is unique among them and
    whose index holds them in this order. Otherwise each page would read and sort all of them.
    """
    last = ""
    while True:
        page = wanted.where(key > last).order_by(key).limit(_PAGE)
        rows = database.read(lambda connection, page=page: list(connection.execute(page).all()))  # type: ignore[misc]
        if not rows:
            return
        yield rows
        last = getattr(rows[-1], key.name)
