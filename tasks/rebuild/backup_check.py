"""Whether the ledger is older than the archive: a backup that was restored knows less."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from archive import paths
from config.settings import settings
from providers import registry
from providers.interface import ListsRecordings, PlacesCertifiedCalls
from tasks.runtime.context import ledger, store

#: Exports of so many of the newest days are compared: those of the last nights, and of today.
_DAYS = 3
WAY_OUT = "stop the workers and run: python -m worker rebuild --restored"


def unknown_files() -> list[str]:
    """Receipts and manifests of jobs that the ledger does not know, the newest files of the archive
    alone: receipts since the month of the newest call that it knows, and manifests since its newest
    days. A few listings; no file is read.
    """
    found = dict(_newest())
    unknown = ledger().rebuilding.unknown(found)
    return sorted(path for name, path in found.items() if name in unknown)


def describe(unknown: list[str]) -> str:
    """What it means that there are such files."""
    receipts = sum(paths.kind_of(path) == "receipt" for path in unknown)
    many = f"{receipts} receipts and {len(unknown) - receipts} manifests"
    return (
        f"the ledger is older than the archive, which holds {many} of jobs that it does not know "
        f"(for example {unknown[-1]}): it was restored from a backup"
    )


def _newest() -> Iterator[tuple[str, str]]:
    """The job ids in the newest files, and their paths."""
    for alias, account in settings().accounts.items():
        if registry.has(account, PlacesCertifiedCalls):
            for month in _months(ledger().rebuilding.newest_call()):
                for path in store().paths(f"{alias}/certified-calls/{month:%Y/%m}/"):
                    if paths.kind_of(path) == "receipt":
                        yield path.rpartition("/")[2].partition(".")[0], path
        if registry.has(account, ListsRecordings):
            for day in _days(alias):
                for path in store().paths(f"{paths.exports_folder(alias, day)}/"):
                    if paths.kind_of(path) == "manifest":
                        yield path.split("/")[-2], path


def _months(since: float) -> Iterator[date]:
    """The first of each month from a time to now; one more, since clocks differ."""
    month = datetime.fromtimestamp(since, UTC).date().replace(day=1)
    last = datetime.now(UTC).date() + timedelta(days=1)
    while month <= last:
        yield month
        month = (month + timedelta(days=32)).replace(day=1)


def _days(alias: str) -> Iterator[date]:
    today = datetime.now(UTC).date() + timedelta(days=1)
    newest = ledger().days.newest(alias)
    first = min(newest or today, today) - timedelta(days=_DAYS)
    for number in range((today - first).days + 1):
        yield first + timedelta(days=number)
