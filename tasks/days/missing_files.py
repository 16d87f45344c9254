"""Days whose files are missing from the archive now, as coverage shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from archive.errors import ArchiveError, StoreAway
from config.settings import ConfigurationError
from ledger.core import states
from ledger.ledger import Ledger
from tasks.archive_watch import presence, watch
from tasks.runtime.context import store

#: A description of the missing files by account and day.
GoneDays = Mapping[tuple[str, date], str]


def gone(
    ledger: Ledger, aliases: Iterable[str], first: date | None, last: date | None
) -> tuple[GoneDays, str | None]:
    """Find complete and damaged days between two days that lack files; change no ledger row.

    Return them, and an error message if the archive is missing or does not answer, so that the
    result is incomplete.
    """
    found: dict[tuple[str, date], str] = {}
    try:
        watch.refuse_vanished()
        for alias in aliases:
            known = ledger.days.of(alias, first, last)
            shown = {row.day for row in known if row.state in _ARCHIVED and row.manifest}
            if not shown:
                continue
            lost = presence.gone(store(), ledger, alias).days
            given_up = ledger.archive_record.given_up(alias)
            for day in shown & lost.keys():
                paths = sorted(lost[day] - given_up.get(day, set()))
                if paths:
                    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                    found[alias, day] = f"gone: {paths[0]}{more}"
    except (ArchiveError, ConfigurationError, OSError, StoreAway) as error:
        return found, str(error)
    return found, None


_ARCHIVED = (states.DAY_COMPLETE, states.DAY_DAMAGED)
