"""Days, rebuilt from the manifests of their exports, and days without any."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from archive import paths
from archive.documents.instants import instant
from archive.documents.manifest import Manifest
from config.settings import settings
from ledger.core import states
from ledger.days import Day
from ledger.rebuild.snapshots import KnownDay
from providers import registry
from providers.interface import ListsRecordings
from tasks.days import day as day_rows
from tasks.days import windows

from .manifests import Folder
from .verified_archive import VerifiedArchive

_FIRST = date(1970, 1, 1)


def archived_day(folder: Folder, generation: int, trusted: VerifiedArchive) -> KnownDay | None:
    """Return the day as its newest manifest says; incomplete if any of its files is damaged."""
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
    timezone = newest.known_timezone or _zone(folder.account)
    return KnownDay(
        Day(
            account=folder.account,
            day=folder.day,
            window_start=instant(newest.window.start).timestamp(),
            window_end=instant(newest.window.end).timestamp(),
            filters=newest.filters or {},
            settle_seconds=settle_seconds(folder.account),
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
        planned_on=instant(newest.created_at).astimezone(ZoneInfo(timezone)).date(),
        completed_by=completed_by,
        listings=listings,
    )


def _is_damaged(folder: Folder, runs: list[tuple[str, Manifest]], trusted: VerifiedArchive) -> bool:
    here = f"{paths.exports_folder(folder.account, folder.day)}/"
    singly = {one.file.path for _, run in runs for one in run.files}
    wrong = {*trusted.damaged, *trusted.refused}
    return any(path.startswith(here) or path in singly for path in wrong)


def _begun(folder: Folder, generation: int) -> KnownDay | None:
    """Return a day that has files but no manifest: due again, as the next generation."""
    account = settings().accounts.get(folder.account)
    if account is None or not registry.has(account, ListsRecordings):
        return None
    row = day_rows.day_row(folder.account, folder.day, gave_up=False)
    return KnownDay(_with_generation(row, generation))


def _with_generation(row: Day, generation: int) -> Day:
    values = {name: getattr(row, name) for name in Day.__dataclass_fields__}
    return Day(**{**values, "generation": generation})


def gaps(alias: str, known: set[date]) -> Iterator[KnownDay]:
    """Yield the days of a nightly account that no night would plan, since later ones are known.

    The days within the catch-up period are included.
    """
    account = settings().accounts.get(alias)
    if account is None or account.nights is None:
        return
    newest = windows.newest_due(account.nights, datetime.now(UTC))
    caught_up = windows.due_days(newest, None, account.nights.catchup_days)
    # A folder with an impossible date must not open centuries of days.
    possible = [day for day in known if _FIRST <= day <= newest + timedelta(days=1)]
    first, last = min([*possible, *caught_up]), max([*possible, *caught_up])
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        if day not in known:
            yield KnownDay(day_rows.day_row(alias, day, gave_up=day < caught_up[0]))


def _zone(alias: str) -> str:
    account = settings().accounts.get(alias)
    return "UTC" if account is None else account.zone


def settle_seconds(alias: str) -> int:
    """Return how many seconds after a day's end its recordings may change, as configured now."""
    account = settings().accounts.get(alias)
    nightly = None if account is None else account.nights
    return 0 if nightly is None else nightly.settle_minutes * 60
