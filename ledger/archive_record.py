"""The files that a ledger vouches for in the archive, and its notes about missing files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select, update

from . import archive_files, chained_files, quarantine, superseded_jobs
from .alert_rules import damaged_days, day_cause, spans_over
from .alerts import close_alerts, open_alert
from .archive_files import VouchedFile, VouchedReceipts
from .chained_files import Chained
from .core import states
from .core.database import Database, insert_into, now
from .core.job import Job
from .core.outbox import owe
from .core.schema import audit, chain_heads, days, jobs, ledger, obligations
from .core.transitions import append_audit
from .lost_files import Lost

__all__ = ["ArchiveRecord", "Chained", "KnownHead"]

_DAY = timedelta(days=1)
_ARCHIVED = (states.DAY_COMPLETE, states.DAY_DAMAGED)
#: The most rows that one statement names.
_AT_ONCE = 500
#: The word for the archive in the audit of the ledger itself.
_ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The newest entry of an account's chain that this ledger knows."""

    account: str
    n: int
    sha256: str


class ArchiveRecord:
    """The contents that the archive must have by this ledger's rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def heads(self) -> dict[str, KnownHead]:
        """Return, by account, the newest entry of its chain that this ledger knows."""
        c = chain_heads.c
        wanted = select(c.account, c.n, c.sha256).order_by(c.account)
        rows = self._database.read(lambda connection: connection.execute(wanted).all())
        return {row.account: KnownHead(*row) for row in rows}

    def head(self, account: str) -> KnownHead | None:
        """Return the newest entry of an account's chain that this ledger knows, or None."""
        c = chain_heads.c
        wanted = select(c.account, c.n, c.sha256).where(c.account == account)
        row = self._database.read(lambda connection: connection.execute(wanted).one_or_none())
        return None if row is None else KnownHead(*row)

    def note_head(self, account: str, n: int, sha256: str) -> None:
        """Note that the chain has this entry. An entry before the known head changes nothing."""
        values = {"n": n, "sha256": sha256, "noted_at": now()}

        def work(connection: Connection) -> None:
            connection.execute(
                insert_into(connection, chain_heads)
                .values(account=account, **values)
                .on_conflict_do_update(
                    index_elements=["account"], set_=values, where=chain_heads.c.n < n
                )
            )

        self._database.write(work)

    def anything(self) -> bool:
        """Return whether this ledger knows that it ever stored a file in an archive."""
        o = obligations.c
        # A job owes a chain entry once its file is stored, and a receipt before it is written.
        of_job = exists().where(jobs.c.job_id == o.job_id)
        stored = or_(
            (o.kind == "chain") & of_job,
            o.kind.in_(("chain", "receipt")) & o.discharged_at.is_not(None),
        )
        # Files that a rebuild found in the archive were not stored by this ledger.
        rebuilt = audit.c.job_id == select(ledger.c.identity).scalar_subquery()
        rebuilt &= audit.c.to_state == quarantine.QUARANTINED
        found = select(jobs.c.job_id).where(exists().where(rebuilt), jobs.c.state == states.DONE)
        looks = (select(chain_heads.c.account), select(o.id).where(stored), found)
        return self._database.read(
            lambda connection: any(
                connection.execute(look.limit(1)).first() is not None for look in looks
            )
        )

    def newest(self, accounts: Collection[str]) -> dict[str, Chained]:
        """Return, by account, the last file that this ledger put under the account's chain."""
        return chained_files.newest(self._database, accounts)

    def chained(
        self, account: str, *, before: int | None = None, limit: int = 1_000
    ) -> list[Chained]:
        """Return files that this ledger put under an account's chain, newest first. ``before`` is
        the ``id`` of the last file on the previous page.
        """
        return chained_files.page(self._database, account, before, limit)

    def owe_entry_once(self, job_id: str, account: str, payload: dict[str, Any]) -> None:
        """Owe the chain entry of a file (``path`` and ``sha256``), unless the job has such an
        obligation, pending or discharged.
        """
        c = obligations.c
        same = [c.payload[name].as_string() == payload[name] for name in ("path", "sha256")]
        has_owed = exists().where(c.job_id == job_id, c.kind == "chain", *same)

        def work(connection: Connection) -> None:
            if not connection.execute(select(has_owed)).scalar_one():
                owe(connection, job_id, account, "chain", payload)

        self._database.write(work)

    def stored(self, account: str, day: date | None = None) -> Iterator[VouchedFile]:
        """Yield every file that ended jobs of an account stored, for all days or for one."""
        return archive_files.stored(self._database, account, day)

    def stored_by(self, job: Job) -> Iterator[VouchedFile]:
        """Yield every file that one job stored."""
        return archive_files.of_job(self._database, job)

    def receipts(self, account: str) -> Iterator[VouchedReceipts]:
        """Yield the receipts of an account's certified calls."""
        return archive_files.receipts(self._database, account)

    def unsealed(self, job_ids: Sequence[str]) -> int:
        """Return how many files of these jobs are not yet under the chain."""
        return len(archive_files.unchained(self._database, job_ids))

    def is_unwritten(self, job_ids: Sequence[str]) -> bool:
        """Return whether one of these jobs still owes a receipt or a chain entry."""
        c = obligations.c
        wanted = select(c.id).where(c.job_id.in_(job_ids), c.discharged_at.is_(None))
        wanted = wanted.where(c.kind.in_(("chain", "receipt"))).limit(1)
        return self._database.read(
            lambda connection: connection.execute(wanted).first() is not None
        )

    def unchained(self) -> set[str]:
        """Return the paths of all files that are not yet under the chain."""
        entries = archive_files.unchained(self._database)
        return {entry["path"] for entry in entries if "path" in entry}

    def note_gone(
        self, account: str, gone: Mapping[date, Collection[str]], *, day: date | None = None
    ) -> tuple[list[date], list[date]]:
        """Note which files of days are missing, by their paths, for all days of an account or for
        one ``day``.

        A complete day that lacks a file becomes damaged. A damaged day that lacks no file becomes
        complete again. Both changes alert people. A day in another state keeps its state, and goes
        without the file once it is exported again.

        Returns the days that became damaged, and the days that became complete.
        """

        def work(connection: Connection) -> tuple[list[date], list[date]]:
            broken: list[date] = []
            mended: list[date] = []
            changed: list[dict[str, Any]] = []
            for row in _to_compare(connection, account, gone, day):
                lost = Lost.of(row.lost)
                now_gone = set(gone.get(row.day, ())) - lost.given_up
                kept = Lost(now_gone, lost.given_up & set(gone.get(row.day, ())))
                state = row.state
                if row.state in _ARCHIVED:
                    state = states.DAY_DAMAGED if now_gone else states.DAY_COMPLETE
                if (state, kept) == (row.state, lost):
                    continue
                changed.append({"of": row.day, "state": state, "lost": kept.stored()})
                if state != row.state:
                    (broken if now_gone else mended).append(row.day)
            if changed:
                connection.execute(
                    update(days)
                    .where(days.c.account == account, days.c.day == bindparam("of"))
                    .values(state=bindparam("state"), lost=bindparam("lost")),
                    changed,
                )
            _update_alerts(connection, account, gone, broken, mended)
            return broken, mended

        return self._database.write(work)

    def given_up(self, account: str) -> dict[date, set[str]]:
        """Return, by day, the missing files that a later export of the day did without."""
        c = days.c
        wanted = select(c.day, c.lost).where(c.account == account, c.lost.is_not(None))
        rows = self._database.read(lambda connection: connection.execute(wanted).all())
        return {row.day: Lost.of(row.lost).given_up for row in rows}

    def superseded(self, job_ids: Collection[str]) -> set[str]:
        """Return those of the jobs whose work a later retry has done again."""
        return superseded_jobs.superseded(self._database, job_ids)

    def owe_again(self, receipts: Mapping[str, Iterable[int]]) -> int:
        """Make written receipts pending again, given as their numbers by job; return how many are.
        The discharged obligation holds the receipt's content.
        """
        o = obligations.c
        wanted = {job_id: set(numbers) for job_id, numbers in receipts.items()}
        written = select(o.id, o.job_id, o.payload["number"].as_integer().label("number")).where(
            o.kind == "receipt", o.discharged_at.is_not(None)
        )

        def work(connection: Connection) -> list[int]:
            names = list(wanted)
            return [
                row.id
                for first in range(0, len(names), _AT_ONCE)
                for row in connection.execute(
                    written.where(o.job_id.in_(names[first : first + _AT_ONCE]))
                )
                if row.number in wanted[row.job_id]
            ]

        return self.chain_again(self._database.read(work))

    def chain_again(self, ids: Sequence[int]) -> int:
        """Owe discharged obligations again, a bounded number in each transaction; return how many.
        To owe one twice is harmless.
        """
        some = (ids[first : first + _AT_ONCE] for first in range(0, len(ids), _AT_ONCE))
        return sum(self._database.write(partial(_undischarge, ids=part)) for part in some)

    def take_turn(self, seconds: float) -> bool:
        """Return whether this process may compare archive and ledger now. A turn comes ``seconds``
        after the last one.
        """
        c = ledger.c.archive_checked_at
        due = or_(c.is_(None), c < now() - seconds, c > now() + seconds)
        return bool(
            self._database.write(
                lambda connection: (
                    connection.execute(
                        update(ledger).where(due).values(archive_checked_at=now())
                    ).rowcount
                )
            )
        )

    def damaged(self) -> list[tuple[str, date]]:
        """Return the account and date of every damaged day, in order."""
        c = days.c
        wanted = (
            select(c.account, c.day).where(c.state == states.DAY_DAMAGED).order_by(c.account, c.day)
        )
        rows = self._database.read(lambda connection: connection.execute(wanted).all())
        return [(row.account, row.day) for row in rows]

    def replace(self, heads: Mapping[str, tuple[int, str]], *, by: str, note: str) -> None:
        """Accept another archive, or an older copy, as this ledger's archive, whose chains end with
        these entries. The change is audited under the ledger's identity.
        """

        def work(connection: Connection) -> None:
            connection.execute(delete(chain_heads))
            if heads:
                connection.execute(
                    insert(chain_heads).values(noted_at=now()),
                    [
                        {"account": account, "n": n, "sha256": sha256}
                        for account, (n, sha256) in heads.items()
                    ],
                )
            identity = str(connection.execute(select(ledger.c.identity)).scalar_one())
            append_audit(connection, identity, (_ARCHIVE, _ARCHIVE), by=by, why=note)

        self._database.write(work)


def _to_compare(
    connection: Connection, account: str, gone: Mapping[date, object], day: date | None
) -> list[Any]:
    """Return the days that change or may change, locked until the transaction ends."""
    c = days.c
    wanted = (
        select(c.day, c.state, c.lost)
        .where(c.account == account)
        .order_by(c.day)
        .with_for_update(key_share=True)
    )
    if day is not None:
        wanted = wanted.where(c.day == day)
    rows = connection.execute(wanted).all()
    return [row for row in rows if row.lost or row.day in gone]


def _update_alerts(
    connection: Connection,
    account: str,
    gone: Mapping[date, Collection[str]],
    broken: Sequence[date],
    mended: Sequence[date],
) -> None:
    for first, last in _spans(broken):
        found = damaged_days(account, first.isoformat(), last.isoformat(), min(gone[first]))
        open_alert(connection, found)
    if mended:
        causes = [day_cause(account, one.isoformat()) for one in mended]
        close_alerts(connection, [*causes, *spans_over(connection, account)])


def _undischarge(connection: Connection, ids: Sequence[int]) -> int:
    values: dict[str, Any] = {"discharged_at": None, "due_at": now(), "attempts": 0}
    return connection.execute(
        update(obligations).where(obligations.c.id.in_(ids)).values(**values)
    ).rowcount


def _spans(found: Sequence[date]) -> Iterator[tuple[date, date]]:
    """Yield the first and the last day of each run of consecutive days."""
    breaks = [n for n, (one, other) in enumerate(pairwise(found), 1) if other - one != _DAY]
    bounds = [0, *breaks, len(found)]
    for first, end in pairwise(bounds):
        if end > first:
            yield found[first], found[end - 1]
