"""Rebuilding: a ledger is filled, from plain records, with the knowledge of an earlier one.

Known jobs and days are added once: an end in the ledger is never replaced by another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, func, select, update

from ledger import quarantine
from ledger.core.database import Database, insert_into
from ledger.core.outbox import owe
from ledger.core.prepared import by_no_index
from ledger.core.schema import calls, days, jobs, ledger, metadata, obligations
from ledger.days import Day
from ledger.errors import NotPossible

from .jobs import take_job
from .snapshots import KnownDay, KnownJob, OwedEntry

#: The most rows that one statement looks up.
_AT_ONCE = 500


class Rebuilding:
    """The writes of a rebuild. Until ``finish`` a new ledger has an identity of its own, so that no
    worker uses a half-rebuilt ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def refuse_used(self) -> None:
        """Raise NotPossible if the ledger holds anything."""

        def work(connection: Connection) -> None:
            held = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
                if table is not ledger
            }
            rows = ", ".join(f"{count} {name}" for name, count in held.items() if count)
            if rows:
                identity = connection.execute(select(ledger.c.identity)).scalar_one()
                where = self._database.url.render_as_string(hide_password=True)
                raise NotPossible(
                    f"not done: the ledger {identity} at {where} is not empty ({rows}); nothing "
                    "was changed; move the ledger away, or set EARWITNESS_LEDGER_URL to a new one; "
                    "if it was restored from a backup, run: earwitness rebuild --restored"
                )

        self._database.read(work)

    def take(
        self, known: Sequence[KnownJob | KnownDay | OwedEntry], *, by: str
    ) -> list[KnownJob | KnownDay | OwedEntry]:
        """Add what the ledger does not hold yet, in one transaction; return the items that changed
        the ledger.
        """

        def work(connection: Connection) -> list[KnownJob | KnownDay | OwedEntry]:
            return [one for one in known if _taken(connection, one, by)]

        return self._database.write(work, patience_seconds=60)

    def finish(self, identity: str, *, by: str) -> None:
        """Give the ledger this identity, in quarantine."""

        def work(connection: Connection) -> None:
            connection.execute(update(ledger).values(identity=identity))
            quarantine.begin(connection, by=by, why="it was rebuilt from the archive")

        self._database.write(work)
        quarantine.withhold_calls(self._database, by=by)

    def newest_call(self) -> float:
        """Return when the last known call was sent, otherwise when the ledger was created (seconds
        since 1970).
        """

        def work(connection: Connection) -> float:
            sent = connection.execute(select(func.max(calls.c.sent_at))).scalar_one()
            made = connection.execute(select(ledger.c.created_at)).scalar_one()
            return float(made if sent is None else sent)

        return self._database.read(work)

    def unknown(self, job_ids: Iterable[str]) -> set[str]:
        """Return those of the jobs that the ledger does not know."""
        wanted = sorted(set(job_ids))

        def work(connection: Connection) -> set[str]:
            known: set[str] = set()
            for first in range(0, len(wanted), _AT_ONCE):
                some = wanted[first : first + _AT_ONCE]
                found = select(jobs.c.job_id).where(jobs.c.job_id.in_(some))
                known.update(connection.execute(found).scalars())
            return known

        return set(wanted) - self._database.read(work)


def _taken(connection: Connection, known: KnownJob | KnownDay | OwedEntry, by: str) -> bool:
    if isinstance(known, KnownDay):
        return _day(connection, known)
    if isinstance(known, OwedEntry):
        return _entry(connection, known)
    return take_job(connection, known, by)


def _day(connection: Connection, known: KnownDay) -> bool:
    values = {name: getattr(known.day, name) for name in Day.__dataclass_fields__} | {
        "planned_on": known.planned_on,
        "completed_by": known.completed_by,
        "listings": known.listings,
    }
    inserted = connection.execute(
        insert_into(connection, days)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["account", "day"])
        .returning(days.c.day)
    )
    if inserted.one_or_none() is not None:
        return True
    c, generation = days.c, known.day.generation
    newer = (c.generation == generation) & c.manifest.is_distinct_from(known.day.manifest)
    caught_up = connection.execute(
        update(days)
        .where(c.account == known.day.account, c.day == known.day.day)
        .where((c.generation < generation) | newer)
        .values(values)
    )
    return bool(caught_up.rowcount)


def _entry(connection: Connection, owed: OwedEntry) -> bool:
    o = obligations.c
    waiting = connection.execute(
        select(o.payload).where(
            o.job_id == owed.job_id, o.kind == "chain", by_no_index(o.discharged_at).is_(None)
        )
    ).scalars()
    if any(payload["path"] == owed.path for payload in waiting):
        return False
    payload = {"path": owed.path, "sha256": owed.sha256}
    owe(connection, owed.job_id, owed.account, "chain", payload)
    return True
