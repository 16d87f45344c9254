"""Detects a ledger that is older than the archive: a restored backup."""

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
WAY_OUT = "stop the workers and run: earwitness rebuild --restored"


def unknown_files() -> list[str]:
    """Return receipts and manifests of jobs that the ledger does not know.

    Only the newest files of the archive are checked: receipts since the month of the newest call
    that the ledger knows, and manifests since its newest days. This takes a few listings; no file
    is read.
    """
    found = dict(_newest())
    unknown = ledger().rebuilding.unknown(found)
    return sorted(path for name, path in found.items() if name in unknown)


def describe(unknown: list[str]) -> str:
    """Return the sentence about such files, for people."""
    receipts = sum(paths.kind_of(path) == "receipt" for path in unknown)
    manifests = len(unknown) - receipts
    many = f"{receipts} receipt{'s' * (receipts != 1)} and "
    many += f"{manifests} manifest{'s' * (manifests != 1)}"
    return (
        f"the ledger is older than the archive, which holds {many} of jobs that the ledger does "
        f"not know (for example {unknown[-1]}): the ledger was restored from a backup"
    )


def _newest() -> Iterator[tuple[str, str]]:
    """Yield the job ids in the newest files' paths, each with its path."""
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
    """Yield the first of each month from a time to now, and one more, since clocks differ."""
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
