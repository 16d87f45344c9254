"""The ledger's identity and its schema's version."""

from __future__ import annotations

import uuid
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from . import quarantine
from .core.database import Database, now
from .core.schema import jobs, ledger
from .core.transitions import append_audit
from .errors import Foreign, SchemaMismatch
from .stats import BACKED_UP

#: The name of each begins with its version: every start reads the newest version here, without
#: Alembic.
_MIGRATIONS = Path(__file__).parent / "migrations/versions"
#: An arbitrary number, the same in every process: two processes that migrate at once take turns.
_MIGRATION_LOCK = 7_204_811
#: The words for these events in the audit of the ledger itself.
_REVEALED = "revealed"
#: The table in which Alembic stores the version.
_NOTED = Table("alembic_version", MetaData(), Column("version_num", String(32)))


def newest_version() -> str:
    """Return the schema version that this program needs."""
    return max(_known_versions())


class Identity:
    """The identity of this ledger, and whether this program may use the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def migrate(self) -> str:
        """Migrate the schema to this program's version, in one transaction; return the version
        afterwards.

        Raises SchemaMismatch when the schema is newer than this program.
        """
        from .schema_upgrade import upgrade  # noqa: PLC0415 - Alembic, for the few who migrate

        def work(connection: Connection) -> str:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            _refuse_newer(_version(connection))
            upgrade(connection)
            if connection.execute(select(ledger.c.identity)).first() is None:
                identity = {"identity": str(uuid.uuid4()), "created_at": now()}
                connection.execute(ledger.insert().values(**identity, quarantined=False))
            return newest_version()

        if self._database.is_sqlite and self._database.url.database:
            Path(self._database.url.database).parent.mkdir(parents=True, exist_ok=True)
        return self._database.write(work, patience_seconds=60)

    def prepare(self) -> str:
        """Turn an empty database into a ledger, and refuse a ledger of another version; return the
        identity.

        Raises SchemaMismatch with the command to run.
        """
        if self._database.is_sqlite and not Path(self._database.url.database or "").exists():
            self.migrate()
        # Check the tables first, then their version: another process may prepare the database
        # between the two.
        if not self._database.read(_has_tables):
            self.migrate()
        version = self._database.read(_version)
        if version is None:
            raise SchemaMismatch(
                "the database has tables, but not those of a ledger; nothing was changed; set "
                "EARWITNESS_LEDGER_URL to an empty database or to a ledger"
            )
        if version != newest_version():
            _refuse_newer(version)
            raise SchemaMismatch(
                f"the ledger's schema has version {version}, this program needs "
                f"{newest_version()}; nothing was changed; run: earwitness migrate"
            )
        quarantine.finish(self._database)
        return self.identity()

    def version(self) -> str | None:
        """Return the version of the database's schema, or None if the database holds no ledger.
        Nothing is changed; a missing SQLite file is not created.
        """
        if self._database.is_sqlite and not Path(self._database.url.database or "").exists():
            return None
        return self._database.read(_version)

    def identity(self) -> str:
        """Return the UUID that the first migration gave this ledger."""
        return self._database.read(
            lambda connection: str(connection.execute(select(ledger.c.identity)).scalar_one())
        )

    def created_at(self) -> float:
        """Return when this ledger was created, in seconds since 1970."""
        return self._database.read(
            lambda connection: float(connection.execute(select(ledger.c.created_at)).scalar_one())
        )

    def quarantined(self) -> bool:
        """Return whether this ledger was restored and places no certified call until the quarantine
        is lifted.
        """
        return self._database.read(
            lambda connection: bool(connection.execute(select(ledger.c.quarantined)).scalar_one())
        )

    def quarantine(
        self, *, by: str = "ledger", note: str = "calls placed since the backup are unknown"
    ) -> None:
        """Quarantine the ledger.

        A certified call that this ledger does not know, or has not sent yet, needs a decision from
        now on: it may have been placed without the ledger's knowledge. All other work continues.
        The change is audited under the ledger's identity with who and why.
        """
        self._database.write(lambda connection: quarantine.begin(connection, by=by, why=note))
        quarantine.withhold_calls(self._database, by=by)

    def note_reveal(self, *, by: str, why: str) -> None:
        """Note under the ledger's identity that a person saw people's data, and which data."""
        identity = self.prepare()
        change = (None, _REVEALED)
        self._database.write(
            lambda connection: append_audit(connection, identity, change, by=by, why=why)
        )

    def note_backup(self, *, by: str, why: str) -> None:
        """Note under the ledger's identity that a backup was written and verified."""
        identity = self.identity()
        change = (None, BACKED_UP)
        self._database.write(
            lambda connection: append_audit(connection, identity, change, by=by, why=why)
        )

    def lift(self, *, by: str, note: str) -> None:
        """End the quarantine, audited under the ledger's identity with who and why. Calls that need
        a decision still need one.
        """
        quarantine.finish(self._database)
        self._database.write(lambda connection: quarantine.lift(connection, by=by, note=note))

    def is_empty(self) -> bool:
        """Return whether no job was ever opened in the ledger."""
        return self._database.read(
            lambda connection: connection.execute(select(jobs.c.job_id).limit(1)).first() is None
        )


def refuse_foreign(ours: str, theirs: str, where: str, way_out: str) -> None:
    """Raise Foreign when another ledger's identity is found ``where``."""
    if theirs != ours:
        raise Foreign(
            f"the ledger is {ours}, but {where} belongs to ledger {theirs}; nothing was started; "
            f"{way_out}"
        )


def _refuse_newer(version: str | None) -> None:
    if version is not None and version not in _known_versions():
        raise SchemaMismatch(
            f"the ledger's schema has version {version}, but this program knows only versions up "
            f"to {newest_version()}; nothing was changed; run the newer program"
        )


def _known_versions() -> set[str]:
    return {path.name.partition("_")[0] for path in _MIGRATIONS.glob("[0-9]*.py")}


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_NOTED.name):
        return None
    return connection.execute(select(_NOTED.c.version_num)).scalar_one_or_none()


def _has_tables(connection: Connection) -> bool:
    return bool(inspect(connection).get_table_names())
