"""Days whose files are missing from the archive now, as coverage shows them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import date

from archive.errors import ArchiveError, StoreAway
from config.settings import ConfigurationError, settings
from ledger.core import states
from ledger.ledger import Ledger
from tasks.archive_watch import presence, watch
from tasks.runtime.background import Background, StillRunning
from tasks.runtime.context import store

#: How long the archive may be silent.
_PATIENCE_SECONDS = 7.0
#: A description of the missing files by account and day.
GoneDays = Mapping[tuple[str, date], str]


def gone(
    ledger: Ledger, aliases: Iterable[str], first: date | None, last: date | None
) -> tuple[GoneDays, str | None]:
    """Find complete and damaged days between two days that lack files; change no ledger row.

    Return them, and an error message if the archive is missing or does not answer, so that the
    result is incomplete.
    """
    search = _Search(ledger, list(aliases), first, last)
    found = Background(search.run, "missing-files")
    while True:
        seen_at = search.seen_at
        try:
            return search.found, found.result(_PATIENCE_SECONDS)
        except StillRunning:
            if search.seen_at == seen_at:
                return dict(search.found), (
                    f"the archive {settings().archive_url} has not answered for "
                    f"{_PATIENCE_SECONDS:.0f} s; whether files are missing is unknown"
                )


class _Search:
    """The search for missing files, in a thread of its own, because the archive may hang."""

    def __init__(
        self, ledger: Ledger, aliases: list[str], first: date | None, last: date | None
    ) -> None:
        self._ledger = ledger
        self._aliases = aliases
        self._span = first, last
        self.found: dict[tuple[str, date], str] = {}
        #: When the archive last showed a file, in monotonic seconds.
        self.seen_at = 0.0

    def run(self) -> str | None:
        """Search; return why the result is incomplete, None if it is complete."""
        try:
            watch.refuse_vanished()
            for alias in self._aliases:
                self._of_account(alias)
        except (ArchiveError, ConfigurationError, OSError, StoreAway) as error:
            return str(error)
        return None

    def _of_account(self, alias: str) -> None:
        known = self._ledger.days.of(alias, *self._span)
        shown = {row.day for row in known if row.state in _ARCHIVED and row.manifest}
        if not shown:
            return
        lost = presence.gone(store(), self._ledger, alias, self._see).days
        given_up = self._ledger.archive_record.given_up(alias)
        for day in shown & lost.keys():
            paths = sorted(lost[day] - given_up.get(day, set()))
            if paths:
                more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                self.found[alias, day] = f"missing: {paths[0]}{more}"

    def _see(self) -> None:
        self.seen_at = time.monotonic()


_ARCHIVED = (states.DAY_COMPLETE, states.DAY_DAMAGED)
