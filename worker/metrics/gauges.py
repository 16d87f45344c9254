"""Gauges computed at each scrape: the ledger's statistics and the chains' heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from config.accounts import Account
from config.nightly import Nightly
from config.queues import DOWNLOADS, DUE
from ledger.alerts import EVERY_ACCOUNT, KINDS
from ledger.core import states
from ledger.core.held import OBSTACLES
from ledger.stats import Stats
from tasks.archive_watch.chain_heads import Heads
from tasks.days import windows

from .families import Values, gauge
from .stats_cache import StatsCache

_OBLIGATIONS = ("alert", "chain", "delivery", "notify", "receipt", "webhook")
#: Beat ticks every five minutes, so a night is planned within this time.
_PLANNING_TIME = timedelta(minutes=15)


class LedgerGauges(Collector):
    """Gauges of the ledger, equal on every worker: use one worker's, or the maximum."""

    def __init__(
        self,
        stats_cache: StatsCache,
        accounts: Callable[[], Mapping[str, Account]],
        ticked_at: Callable[[], datetime | None],
    ) -> None:
        self._stats_cache = stats_cache
        self._accounts = accounts
        self._ticked_at = ticked_at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family, or only ``ledger_up`` if the ledger is away."""
        stats = self._stats_cache.stats()
        yield gauge(
            "ledger_up",
            "Whether the ledger answered this worker in time.",
            (),
            _single(bool(stats)),
        )
        if stats is not None:
            yield from self._jobs(stats)
            yield from self._obligations(stats)
            yield from self._days(stats)
            yield from self._accounts_state(stats)

    def _jobs(self, stats: Stats) -> Iterator[GaugeMetricFamily]:
        yield gauge(
            "jobs",
            "Jobs that have not ended, and those that need a decision.",
            ("account", "kind", "state"),
            {(row.account, row.kind, row.state): row.jobs for row in stats.jobs},
        )
        takeovers = self._zeros()
        for row in stats.jobs:
            one = (row.account,)
            takeovers[one] = takeovers.get(one, 0) + int(row.takeovers)
        yield gauge(
            "open_job_takeovers",
            "Deaths of workers over the jobs that have not ended, since these last made progress.",
            ("account",),
            takeovers,
        )
        queues: Values = {(DUE,): 0, (DOWNLOADS,): 0}
        yield gauge(
            "jobs_due",
            "Jobs that are due and that no worker has started.",
            ("queue",),
            {**queues, **{(row.queue,): row.jobs for row in stats.due}},
        )
        yield gauge(
            "oldest_due_job_age_seconds",
            "For how long the first of these has been due; 0 if there is none.",
            ("queue",),
            {**queues, **{(row.queue,): _age(row.age) for row in stats.due}},
        )
        obstacles: Values = {(one, alias): 0 for one in OBSTACLES for alias in self._accounts()}
        held = {(row.obstacle, row.account): row for row in stats.held}
        yield gauge(
            "jobs_held",
            "Jobs that wait until the archive, a disk or the credentials work again.",
            ("by", "account"),
            {**obstacles, **{where: row.jobs for where, row in held.items()}},
        )
        yield gauge(
            "oldest_held_job_age_seconds",
            "For how long the first of these has been held, retries included; 0 if there is none.",
            ("by", "account"),
            {**obstacles, **{where: _age(row.age) for where, row in held.items()}},
        )

    def _obligations(self, stats: Stats) -> Iterator[GaugeMetricFamily]:
        yield gauge(
            "decisions_waiting",
            "Certified calls that may or may not have been placed.",
            ("account",),
            {**self._zeros(), **{(row.account,): row.jobs for row in stats.decisions}},
        )
        yield gauge(
            "oldest_decision_age_seconds",
            "For how long the first of these has waited for a person; 0 if there is none.",
            ("account",),
            {**self._zeros(), **{(row.account,): _age(row.age) for row in stats.decisions}},
        )
        kinds: Values = {(kind,): 0 for kind in _OBLIGATIONS}
        yield gauge(
            "obligations_owed",
            "Receipts, chain entries, notifications and alerts that are not yet written or sent.",
            ("kind",),
            {**kinds, **{(row.kind,): row.pending for row in stats.obligations}},
        )
        yield gauge(
            "oldest_obligation_age_seconds",
            "For how long the first of these has been pending; 0 if there is none.",
            ("kind",),
            {**kinds, **{(row.kind,): _age(row.age) for row in stats.obligations}},
        )
        alerts: Values = {(kind,): 0 for kind in KINDS}
        yield gauge(
            "alerts_open",
            "Open alerts, by kind; each has one cause.",
            ("kind",),
            {**alerts, **{(row.kind,): row.alerts for row in stats.alerts}},
        )
        of_accounts: Values = {
            (alias, kind): 0 for alias in (*self._accounts(), EVERY_ACCOUNT) for kind in KINDS
        }
        yield gauge(
            "account_alerts_open",
            "Open alerts by account; alerts about all accounts or none have the account *.",
            ("account", "kind"),
            {**of_accounts, **{(r.account, r.kind): r.alerts for r in stats.account_alerts}},
        )

    def _days(self, stats: Stats) -> Iterator[GaugeMetricFamily]:
        complete, newest = stats.complete_days(), stats.newest_days()
        shown: dict[tuple[str, ...], float] = {
            (account, states.DAY_COMPLETE): days for account, days in complete.items()
        }
        lacking: dict[tuple[str, ...], float] = {(alias,): 0 for alias in self._with_nights()}
        oldest: dict[tuple[str, ...], float] = {}
        waiting: dict[str, int] = {}
        for row in stats.days:
            one, state = (row.account,), (row.account, row.state)
            if row.state == states.DAY_DUE:
                waiting[row.account] = row.days
            shown[state] = shown.get(state, 0) + row.days
            if row.lacking:
                lacking[one] = lacking.get(one, 0) + row.days
                oldest[one] = min(row.since, oldest.get(one, row.since))
        # promtool would take "days" in a name for a unit.
        yield gauge(
            "coverage", "Days by state, as coverage shows them.", ("account", "state"), shown
        )
        yield gauge(
            "coverage_incomplete",
            "Days known to be incomplete, including those that are still tried again.",
            ("account",),
            lacking,
        )
        yield gauge(
            "oldest_incomplete_day_timestamp_seconds",
            "When the first of these days began.",
            ("account",),
            oldest,
        )
        yield gauge(
            "oldest_incomplete_since_timestamp_seconds",
            "When the first of them was found to be incomplete.",
            ("account",),
            {(row.account,): row.since for row in stats.lacking},
        )
        yield gauge(
            "nights_unplanned",
            "Days that are due and that no tick of beat has planned.",
            ("account",),
            {
                # A day that was asked for by hand brings the days before it, which no tick planned.
                (alias,): nights + waiting.get(alias, 0)
                for alias, nights in self._unplanned(newest).items()
            },
        )

    def _unplanned(self, newest: Mapping[str, date]) -> dict[str, int]:
        """Return the number of nights that no tick has planned. ``newest`` are the last days of the
        ledger.
        """
        ticked_at, now = self._ticked_at(), datetime.now(UTC) - _PLANNING_TIME
        return {
            alias: _unplanned(
                windows.newest_due(nightly, now),
                windows.newest_planned(nightly, newest.get(alias), ticked_at),
            )
            for alias, nightly in self._with_nights().items()
        }

    def _accounts_state(self, stats: Stats) -> Iterator[GaugeMetricFamily]:
        rests: Values = {(row.account,): row.rests for row in stats.accounts}
        yield gauge(
            "account_postponed_seconds",
            "For how much longer the account is paused and nothing is sent to its provider; 0 if "
            "it is not.",
            ("account",),
            {**self._zeros(), **rests},
        )
        refused: Values = {(row.account,): 1.0 for row in stats.refused}
        yield gauge(
            "account_credentials_refused",
            "Whether the provider refuses the account's credentials.",
            ("account",),
            {**self._zeros(), **refused},
        )
        yield gauge(
            "quarantined",
            "Whether the ledger was restored and places no certified calls.",
            (),
            _single(stats.quarantined),
        )
        yield gauge(
            "backup_age_seconds",
            "How long ago `earwitness backup` last wrote a complete backup; absent before the "
            "first one.",
            (),
            dict.fromkeys([()], _age(row.age)) if (row := next(iter(stats.backups), None)) else {},
        )

    def _zeros(self) -> dict[tuple[str, ...], float]:
        """Return 0 for every account, so that a first count shows as an increase."""
        return {(alias,): 0.0 for alias in self._accounts()}

    def _with_nights(self) -> dict[str, Nightly]:
        """Return the plans of the accounts with nightly exports."""
        return {
            alias: account.nights
            for alias, account in self._accounts().items()
            if account.nights is not None
        }


class ChainGauges(Collector):
    """Gauges of the chains, as this worker last saw them."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield both families."""
        known = self._heads.chains()
        yield gauge(
            "chain_entries",
            "Entries of the account's chain, when this worker last saw it.",
            ("account",),
            {(one.published.account,): one.entries for one in known},
        )
        yield gauge(
            "chain_head_info",
            "An entry that was the chain's newest not long ago: give it to verify as --head.",
            ("account", "sha256"),
            {(one.published.account, one.published.sha256): 1 for one in known},
        )


def _single(value: bool) -> Values:
    return {(): float(value)}


def _age(seconds: float) -> float:
    return max(float(seconds), 0.0)


def _unplanned(due: date, newest: date | None) -> int:
    return 1 if newest is None else max((due - newest).days, 0)
