"""The content of a report: what the ledger and the archive say about a span of days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Row

from config.settings import settings
from config.version import VERSION
from ledger.alert_rules import day_cause
from ledger.core.job import Job
from ledger.history import Decision, Waiting
from ledger.ledger import Ledger
from providers import registry
from providers.accounts import CertifiedCallsAccount
from providers.errors import Unsupported
from tasks.days import missing_files, windows
from tasks.days.coverage import DayCoverage, coverage_of, covered_accounts

#: The days of a report that names no first day.
DEFAULT_DAYS = 90
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class CertifiedDays:
    """An account's certified calls by day, and the most that a day may have; None if the account is
    no longer configured.
    """

    account: str
    calls: Mapping[date, int]
    cap: int | None


@dataclass(frozen=True)
class Report:
    """Everything that the page and the CSV file say. Times are seconds since 1970."""

    made_at: float
    version: str
    ledger_id: str
    first: date
    last: date
    account: str | None
    days: Mapping[str, Sequence[DayCoverage]]
    stored_bytes: Mapping[str, int]
    undecided: Sequence[tuple[Job, float]]
    decisions: Sequence[Decision]
    alerts: Sequence[Mapping[str, Any]]
    waiting: Sequence[Waiting]
    certified: Sequence[CertifiedDays]
    heads: Sequence[Row[Any]]
    verification: Job | None
    is_quarantined: bool
    problem: str | None

    @property
    def span(self) -> list[date]:
        """Every day of the report, in order."""
        return [self.first + n * _DAY for n in range((self.last - self.first).days + 1)]

    def bytes_of(self, day: DayCoverage) -> int | None:
        """Return how many bytes the export of a day has stored; None if it reached no manifest."""
        if not day.manifest:
            return None
        return self.stored_bytes.get(_run_of(day.manifest), 0)

    def since(self, day: DayCoverage) -> float | None:
        """Return when people were alerted that a day lacks something, None if they were not."""
        cause = day_cause(day.account, day.day)
        return next((one["opened_at"] for one in self._open_alerts if one["cause"] == cause), None)

    @property
    def _open_alerts(self) -> list[Mapping[str, Any]]:
        return [one for one in self.alerts if one["closed_at"] is None]


def default_span(
    now: float, first: date | None = None, last: date | None = None, account: str | None = None
) -> tuple[date, date]:
    """Return the first and the last day of a report that is made at ``now``, seconds since 1970.

    Unless given, the last is yesterday in UTC or, if that is later, the newest day that is due at
    an account of the report: east of Greenwich days end earlier. The first is the first of
    `DEFAULT_DAYS` days.
    """
    at = datetime.fromtimestamp(now, UTC)
    nights = [one.nights for one in settings().accounts.values() if account in (None, one.alias)]
    due = [windows.newest_due(one, at) for one in nights if one is not None]
    ends = last or max(at.date() - _DAY, first or date.min, *due)
    return first or ends - (DEFAULT_DAYS - 1) * _DAY, ends


def collect(ledger: Ledger, first: date, last: date, account: str | None = None) -> Report:
    """Read the content of a report: days from ``first`` to ``last``, of one account or of all.

    Files that the archive lacks are looked for as `coverage` does; where the archive does not
    answer, the report says so. Raises LedgerAway.
    """
    aliases = covered_accounts(ledger) if account is None else [account]
    gone, problem = missing_files.gone(ledger, aliases, first, last)
    days = {alias: list(coverage_of(ledger, alias, first, last, gone)) for alias in aliases}
    manifests = [day.manifest for some in days.values() for day in some if day.manifest]
    begin, end = _instant(first), _instant(last + 2 * _DAY)
    history = ledger.history
    return Report(
        made_at=ledger.database.time(),
        version=VERSION,
        ledger_id=ledger.identity.identity(),
        first=first,
        last=last,
        account=account,
        days=days,
        stored_bytes=history.stored_bytes(map(_run_of, manifests)),
        undecided=[one for one in ledger.jobs.undecided() if account in (None, one[0].account)],
        decisions=history.decisions(begin, end, account),
        alerts=history.alerts(begin, account),
        waiting=[one for one in history.waiting() if account in (None, one.account)],
        certified=_certified(ledger, first, last + _DAY, account),
        heads=[one for one in history.chain_heads() if account in (None, one.account)],
        verification=history.last_verification(),
        is_quarantined=ledger.identity.quarantined(),
        problem=problem,
    )


def _certified(ledger: Ledger, first: date, last: date, account: str | None) -> list[CertifiedDays]:
    caps = dict(_caps())
    counted: dict[str, dict[date, int]] = {alias: {} for alias in caps}
    for row in ledger.history.certified_calls(first, last):
        counted.setdefault(row.account, {})[row.day] = row.calls
    return [
        CertifiedDays(alias, calls, caps.get(alias))
        for alias, calls in sorted(counted.items())
        if account in (None, alias)
    ]


def _caps() -> Iterator[tuple[str, int]]:
    """Yield the accounts that place certified calls, and the most that a day may have."""
    for alias, found in settings().accounts.items():
        with suppress(Unsupported):
            yield alias, registry.account(found, CertifiedCallsAccount).max_calls_per_day


def _run_of(manifest: str) -> str:
    """Return the job of the run that wrote a manifest: the last folder of its path."""
    return manifest.split("/")[-2]


def _instant(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
