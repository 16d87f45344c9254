"""Exports and days as their manifests tell of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from archive import layout, manifest
from archive.errors import ArchiveError
from archive.store import Stored
from config.accounts import VonageAccount
from config.queues import DOWNLOADS, DUE
from config.settings import settings
from ledger import states
from ledger.days import Day
from ledger.job import job_id
from ledger.rebuilding import KnownDay, KnownJob

from . import days, retrieval, windows
from .arguments import utc_text
from .resources import store
from .trusted import Trusted

_RUN = "earwitness.export.run"
#: So many generations beyond those that are known are tried for a folder without a manifest.
_MORE_GENERATIONS = 100


class Window(BaseModel):
    """From ``start`` up to, and without, ``end``."""

    start: AwareDatetime
    end: AwareDatetime


class Manifest(BaseModel):
    """A manifest, as docs/archive-format.md describes it; of its parts what a rebuild needs."""

    kind: Literal["export"]
    account: str
    job_id: str
    day: date | None
    generation: int | None = Field(ge=1)
    window: Window | None
    filters: dict[str, Any] | None
    parts: list[dict[str, Any]]
    files: list[dict[str, Any]]
    listed: int
    archived: int
    missing: int
    complete: bool
    created_at: AwareDatetime


@dataclass
class _Folder:
    """The exports of one day: what each job's manifest says, None where it can not be believed or
    is not there.
    """

    account: str
    day: date
    exports: dict[str, tuple[str, Manifest | None]] = field(default_factory=dict)

    def runs(self) -> list[tuple[str, Manifest]]:
        """The manifests of the day itself, by generation."""
        found = [
            (path, one)
            for path, one in self.exports.values()
            if one is not None and one.day == self.day and one.generation is not None
        ]
        return sorted(found, key=lambda run: run[1].generation or 0)


def exports(alias: str, trusted: Trusted) -> Iterator[KnownJob | KnownDay]:
    """Every export of an account that has a manifest, and its days: the oldest first. Days between
    them that are not in the archive, and those that a night would catch up, are due.
    """
    known: set[date] = set()
    for day, paths in groupby(_paths(alias, trusted), key=day_of):
        if day is None:
            continue
        folder = _Folder(alias, day)
        for path in paths:
            _look(folder, path, trusted)
        for path, one in folder.exports.values():
            if one is not None:
                yield _job(one, path, day)
        generations = _generations(folder)
        yield from _damaged(folder, generations, trusted)
        if generations:
            row = _day(folder, max(generations.values()), trusted)
            if row is not None:
                known.add(day)
                yield row
    yield from _gaps(alias, known)


def is_a_run_of(alias: str, day: date, known: str) -> bool:
    """Whether a job id is that of one of a day's exports."""
    numbers = range(1, _MORE_GENERATIONS)
    return any(job_id(alias, _RUN, f"day:{day}#{one}") == known for one in numbers)


def _paths(alias: str, trusted: Trusted) -> Iterator[str]:
    prefix = f"{alias}/exports/"
    gone = [path for path in trusted.damaged if path.startswith(prefix)]
    yield from sorted({*store().paths(prefix), *gone})


def day_of(path: str) -> date | None:
    """The day in the path of an export or of a single recording."""
    try:
        return date(*(int(part) for part in path.split("/")[2:5]))
    except (ValueError, TypeError):
        return None


def _look(folder: _Folder, path: str, trusted: Trusted) -> None:
    parts = path.split("/")
    if len(parts) != 7:
        return
    name = parts[5]
    told = layout.manifest_path("/".join(parts[:6]))
    if path == told:
        folder.exports[name] = path, _read(folder, name, path, trusted)
    else:
        folder.exports.setdefault(name, (told, None))


def _read(folder: _Folder, name: str, path: str, trusted: Trusted) -> Manifest | None:
    if not trusted.believes(path):
        return None
    try:
        content = manifest.read_manifest(store(), path)
        if content.get("kind") == "erasure":
            return None
        found = Manifest.model_validate(content)
    except (ArchiveError, ValidationError):
        trusted.refuse(path, "is not readable as a manifest")
        return None
    day_job = job_id(folder.account, _RUN, f"day:{found.day}#{found.generation}")
    whole = found.day is None or (found.window is not None and found.job_id == day_job)
    if (found.account, found.job_id) != (folder.account, name) or not whole:
        trusted.refuse(path, "speaks of another export than its folder says")
        return None
    return found


def _job(found: Manifest, path: str, day: date) -> KnownJob:
    at = found.created_at.timestamp()
    common: dict[str, Any] = {
        "job_id": found.job_id,
        "account": found.account,
        "created_at": at,
        "updated_at": at,
        "source": path,
    }
    if found.window is None:
        return KnownJob(**common, **_retrieved(found))
    shown = f"day:{found.day}#{found.generation}" if found.day else f"rebuilt/{found.job_id}"
    return KnownJob(
        **common,
        kind="export.run",
        request_id=shown,
        parameters=_parameters(found, day),
        queue=DUE,
        **_end(found, path),
    )


def _retrieved(found: Manifest) -> dict[str, Any]:
    part = found.parts[0]
    stored = Stored(part["path"], part["bytes"], part["sha256"])
    return {
        "kind": "export.retrieve",
        "request_id": f"rebuilt/{found.job_id}",
        "parameters": {"provider_job_id": part["provider_job_id"]},
        "queue": DOWNLOADS,
        "state": states.DONE,
        "result": retrieval.result(stored, len(part["members"]), part["provider_job_id"]),
    }


def _parameters(found: Manifest, day: date) -> dict[str, Any]:
    """The parameters with which the export was asked for, from which its fingerprint follows."""
    assert found.window is not None
    span = found.window
    asked = {
        "filters": found.filters or {},
        "window": {
            "start": utc_text(span.start),
            "last": utc_text(span.end - timedelta(seconds=1)),
        },
        "folder_day": day.isoformat(),
    }
    if found.day is None:
        return asked
    settled_at = span.end.timestamp() + _settle_seconds(found.account)
    about = {"day": found.day.isoformat(), "generation": found.generation}
    return {**about, **asked, "settled_at": settled_at}


def _end(found: Manifest, path: str) -> dict[str, Any]:
    counts = {"listed": found.listed, "archived": found.archived, "missing": found.missing}
    result = {"manifest": path, **counts}
    if found.complete:
        return {"state": states.DONE, "result": result}
    message = (
        f"not done: {found.missing} of {found.listed} missing; {path} names them; the next night "
        "tries again, or export the day again"
    )
    error = {"type": "Incomplete", "message": message}
    return {"state": states.FAILED, "result": result, "reason": message, "error": error}


def _generations(folder: _Folder) -> dict[str, int]:
    """The generation of each job of the day, with or without a manifest: a number that was begun
    is not taken again, so that two exports never share a folder.
    """
    found = {one.job_id: one.generation or 0 for _, one in folder.runs()}
    left = {name for name, (_, one) in folder.exports.items() if one is None}
    for generation in range(1, max(found.values(), default=0) + _MORE_GENERATIONS):
        if not left:
            break
        one = job_id(folder.account, _RUN, f"day:{folder.day}#{generation}")
        if one in left:
            left.remove(one)
            found[one] = generation
    return found


def _damaged(folder: _Folder, generations: dict[str, int], trusted: Trusted) -> Iterator[KnownJob]:
    """Exports whose manifests can not be believed: they are known, and failed."""
    for name, (path, one) in folder.exports.items():
        if one is not None or trusted.believes(path):
            continue
        message = f"not done: its manifest {path} is damaged; compare it with a copy"
        at = datetime.combine(folder.day, datetime.min.time(), UTC).timestamp()
        shown = f"day:{folder.day}#{generations[name]}" if name in generations else None
        yield KnownJob(
            job_id=name,
            kind="export.run",
            account=folder.account,
            request_id=shown or f"rebuilt/{name}",
            parameters={},
            queue=DUE,
            state=states.FAILED,
            created_at=at,
            updated_at=at,
            source=path,
            reason=message,
            error={"type": "Damaged", "message": message},
        )


def _day(folder: _Folder, generation: int, trusted: Trusted) -> KnownDay | None:
    """The day as its newest manifest says; incomplete where anything of it is damaged."""
    runs = folder.runs()
    if not runs:
        return _begun(folder, generation)
    path, newest = runs[-1]
    assert newest.window is not None
    completed_by, listings = None, 0
    for _, one in runs:
        completed_by = one.job_id if one.complete else None
        listings = listings + 1 if one.complete else 0
    if _is_damaged(folder, runs, trusted):
        completed_by, listings = None, 0
    timezone = _timezone(folder.account)
    return KnownDay(
        Day(
            account=folder.account,
            day=folder.day,
            window_start=newest.window.start.timestamp(),
            window_end=newest.window.end.timestamp(),
            filters=newest.filters or {},
            settle_seconds=_settle_seconds(folder.account),
            timezone=timezone,
            state=states.DAY_COMPLETE if completed_by else states.DAY_INCOMPLETE,
            generation=generation,
            job_id=newest.job_id,
            manifest=path,
            counts={
                "listed": newest.listed,
                "archived": newest.archived,
                "missing": newest.missing,
            },
        ),
        planned_on=newest.created_at.astimezone(ZoneInfo(timezone)).date(),
        completed_by=completed_by,
        listings=listings,
    )


def _is_damaged(folder: _Folder, runs: list[tuple[str, Manifest]], trusted: Trusted) -> bool:
    here = f"{layout.exports_folder(folder.account, folder.day)}/"
    singly = {one["path"] for _, run in runs for one in run.files}
    wrong = {*trusted.damaged, *trusted.refused}
    return any(path.startswith(here) or path in singly for path in wrong)


def _begun(folder: _Folder, generation: int) -> KnownDay | None:
    """A day of which files are there, but no manifest: due again, as the next generation."""
    if not isinstance(settings().accounts.get(folder.account), VonageAccount):
        return None
    row = days.day_row(folder.account, folder.day, gave_up=False)
    return KnownDay(_with_generation(row, generation))


def _with_generation(row: Day, generation: int) -> Day:
    values = {name: getattr(row, name) for name in Day.__dataclass_fields__}
    return Day(**{**values, "generation": generation})


def _gaps(alias: str, known: set[date]) -> Iterator[KnownDay]:
    """The days of a nightly account that a night would not plan by itself any more, since later
    ones are known, and those that it would catch up.
    """
    account = settings().accounts.get(alias)
    if not isinstance(account, VonageAccount) or account.nightly is None:
        return
    newest = windows.newest_due(account.nightly, datetime.now(UTC))
    caught_up = windows.due_days(newest, None, account.nightly.catchup_days)
    first, last = min([*known, *caught_up]), max([*known, *caught_up])
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        if day not in known:
            yield KnownDay(days.day_row(alias, day, gave_up=day < caught_up[0]))


def _timezone(alias: str) -> str:
    account = settings().accounts.get(alias)
    return windows.zone(account) if isinstance(account, VonageAccount) else "UTC"


def _settle_seconds(alias: str) -> int:
    account = settings().accounts.get(alias)
    nightly = account.nightly if isinstance(account, VonageAccount) else None
    return 0 if nightly is None else nightly.settle_minutes * 60
