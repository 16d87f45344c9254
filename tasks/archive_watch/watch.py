"""The archive watch: whether the archive is there, as new as the ledger, and whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from archive.errors import ArchiveError, StoreAway, StoreRefused, Vanished
from archive.store.guarded import refusal
from config.settings import settings
from ledger.alerts import ARCHIVE, Alert
from ledger.archive_record import KnownHead
from ledger.core.job import Job
from tasks.runtime import archive_alerts, vouching
from tasks.runtime.context import bare_store, ledger, store

from . import presence
from .presence import Gone

_log = logging.getLogger(__name__)

#: Archive and ledger are compared file by file once a day, by one worker.
_DAILY_SECONDS = 86_400.0
#: How often a process asks whether the daily comparison is its turn.
_TURN_CHECK_SECONDS = 3_600.0
#: If files are gone, the comparison repeats after so many rounds, ten minutes by default.
_SOON_ROUNDS = 120
#: A bucket is checked in one round of so many.
_BUCKET_ROUNDS = 12
_MOST_NAMED = 3
#: Each chain costs a round the reading of its newest entry.
_CHAINS_A_ROUND = 200


@dataclass
class Comparison:
    """The result of a comparison.

    ``damaged`` and ``mended`` hold days by account that became damaged or complete, ``gone`` other
    missing files by account; ``receipts`` counts the receipts that are written once more.
    """

    damaged: dict[str, list[str]] = field(default_factory=dict)
    mended: dict[str, list[str]] = field(default_factory=dict)
    gone: dict[str, list[str]] = field(default_factory=dict)
    receipts: int = 0


def accounts() -> list[str]:
    """Return the accounts that may have files in the archive."""
    return sorted({*settings().accounts, *ledger().archive_record.heads()})


def refuse_vanished() -> None:
    """Raise Vanished if the archive is not the one that the ledger vouches for.

    Raises StoreAway, ArchiveError or OSError if this cannot be determined.
    """
    vouching.refuse_other(bare_store(), ledger())
    vouching.refuse_shorter(bare_store(), ledger(), accounts())


def few_in_turn(heads: Sequence[KnownHead], *, after: str) -> Sequence[KnownHead]:
    """Return the next few of all heads, which are in the order of their accounts: those after an
    account, or the first ones again.
    """
    rest = [head for head in heads if head.account > after] or heads
    return rest[:_CHAINS_A_ROUND]


class Watch:
    """The sweeper's work on the archive, round by round."""

    def __init__(self) -> None:
        self._round = 0
        self._compared_at: float | None = None
        self._last_account = ""

    def look(self) -> bool:
        """Run one round; return whether the archive was there. Raises LedgerError."""
        number, self._round = self._round, self._round + 1
        if "://" in settings().archive_url and number % _BUCKET_ROUNDS:
            return False
        try:
            vouching.refuse_other(bare_store(), ledger())
            self._refuse_shorter()
        except StoreRefused as error:
            archive_alerts.alert_refusal(error)
            return False
        except (ArchiveError, StoreAway, OSError) as error:
            _refused(error)
            _log.warning("could not check whether the archive is available: %s", error)
            return False
        archive_alerts.close_mended(store())
        if self._is_due(number):
            self._compare()
        return True

    def _refuse_shorter(self) -> None:
        """Raise Vanished if chains lack entries that the ledger knows.

        Of many chains, each round looks at a few, in turn, and at the same ones again until they
        lack nothing.
        """
        heads = list(ledger().archive_record.heads().values())
        some = few_in_turn(heads, after=self._last_account)
        lacking = vouching.missing_entries(bare_store(), some)
        if lacking:
            raise Vanished(bare_store().address, vouching.describe_missing(lacking))
        self._last_account = some[-1].account if some else ""

    def _is_due(self, number: int) -> bool:
        """Return whether to look for every file now.

        This is so at this process' first look, once a day in one of all processes, and soon again
        while files are gone.
        """
        if self._compared_at is None:
            return True
        if number % _SOON_ROUNDS == 0 and _is_lacking():
            return True
        if time.monotonic() - self._compared_at < _TURN_CHECK_SECONDS:
            return False
        self._compared_at = time.monotonic()
        return ledger().archive_record.take_turn(_DAILY_SECONDS)

    def _compare(self) -> None:
        self._compared_at = time.monotonic()
        try:
            compare()
        except (ArchiveError, StoreAway, OSError) as error:
            _refused(error)
            _log.warning("could not compare the archive with the ledger: %s", error)


def compare(names: Iterable[str] | None = None) -> Comparison:
    """Look for every file that the ledger vouches for, of these accounts or of all.

    Notes the days that are damaged or whole again, has missing receipts written again,
    and opens alerts.

    Raises StoreAway, ArchiveError, OSError.
    """
    done = Comparison()
    refuse_vanished()
    for account in accounts() if names is None else names:
        found = presence.gone(store(), ledger(), account)
        damaged, mended = ledger().archive_record.note_gone(account, found.days)
        numbers = {job: set(paths) for job, paths in found.receipts.items()}
        again = ledger().archive_record.owe_again(numbers)
        others = _others(account, found, again)
        for named, days in ((done.damaged, damaged), (done.mended, mended)):
            if days:
                named[account] = [day.isoformat() for day in days]
        if others:
            done.gone[account] = others
        done.receipts += again
        for day in damaged:
            _log.warning(
                "day %s of account %s is damaged: files are missing from the archive", day, account
            )
    return done


def gone_files(alias: str, on_file: Callable[[], object] | None = None) -> list[str]:
    """Return the missing files of an account, except those that its days and jobs no longer need.

    Notes nothing. ``on_file`` is called at each file that is looked at. Raises StoreAway,
    ArchiveError, OSError.
    """
    found = presence.gone(store(), ledger(), alias, on_file)
    given_up = ledger().archive_record.given_up(alias)
    done_without = {path for paths in given_up.values() for path in paths}
    superseded = ledger().archive_record.superseded(set(found.others.values()))
    done_without |= {path for path, job in found.others.items() if job in superseded}
    return [path for path in found.paths() if path not in done_without]


def damaged_days() -> list[str]:
    """Return the days that are damaged now, each with its account."""
    return [f"{account} {day}" for account, day in ledger().archive_record.damaged()]


def look_at_day(alias: str, day: date) -> None:
    """Note whether a requested day is still whole.

    If this cannot be determined, the ledger's state of the day stands.
    """
    try:
        gone = presence.gone_of_day(store(), ledger(), alias, day)
    except (ArchiveError, StoreAway, OSError) as error:
        _log.warning(
            "could not check whether the files of day %s of %s are there: %s", day, alias, error
        )
        return
    ledger().archive_record.note_gone(alias, {day: gone} if gone else {}, day=day)


def is_lost(job: Job) -> bool:
    """Return whether files that a job stored are gone. Raises StoreAway, ArchiveError, OSError."""
    return bool(presence.gone_of_job(store(), ledger(), job))


def lost_cause(account: str) -> str:
    """Return the cause of the alert that single files of an account are gone."""
    return f"{ARCHIVE}:lost:{account}"


def _others(account: str, found: Gone, again: int) -> list[str]:
    """Return the missing files that belong to no day, and open or close their alert."""
    superseded = ledger().archive_record.superseded(set(found.others.values()))
    lost = {path for path, job in found.others.items() if job not in superseded}
    lost |= {path for numbers in found.receipts.values() for path in numbers.values()}
    if not lost:
        ledger().alerts.close(lost_cause(account))
        return []
    message = _lost_message(account, sorted(lost), again)
    ledger().alerts.open(Alert(lost_cause(account), ARCHIVE, account, message))
    return sorted(lost)


def _lost_message(account: str, lost: list[str], again: int) -> str:
    if len(lost) == 1:
        advice = "restore it from a copy, or download it again: earwitness retry JOB"
        return (
            f"1 file of account {account} is missing from the archive ({lost[0]}); "
            f"{'it is a receipt, which a worker writes again' if again else advice}"
        )
    named = ", ".join(lost[:_MOST_NAMED]) + (", ..." if len(lost) > _MOST_NAMED else "")
    receipts = "1 of them is a receipt" if again == 1 else f"{again} of them are receipts"
    return (
        f"{len(lost)} files of account {account} are missing from the archive ({named}); "
        f"{receipts}, which a worker writes again; restore the others from a copy, or download "
        "them again: earwitness retry JOB"
    )


def _refused(error: Exception) -> None:
    """Open an alert for a part of the archive that cannot be read."""
    if isinstance(error, OSError):
        error = refusal(bare_store().address, "", error)
    archive_alerts.alert_refusal(error)


def _is_lacking() -> bool:
    causes = (one["cause"] for one in ledger().alerts.all_open())
    lost = any(cause.startswith(f"{ARCHIVE}:lost:") for cause in causes)
    return lost or bool(ledger().archive_record.damaged())
