"""A cache of the ledger's statistics for scrapes."""

from __future__ import annotations

from collections.abc import Callable

from ledger.errors import LedgerError
from ledger.stats import Stats

from .reading import Reading


class StatsCache(Reading[Stats]):
    """The ledger's statistics, a few seconds old at most; None if the ledger does not answer."""

    def __init__(self, read_stats: Callable[[], Stats]) -> None:
        super().__init__(read_stats, "the ledger's part", expected=(LedgerError,))

    def stats(self) -> Stats | None:
        """Return the statistics, None if the ledger does not answer in time."""
        return self.value()
