"""Who a ledger is, how it comes to be, and which program may use it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from ledger.core.schema import metadata
from ledger.errors import Foreign, SchemaMismatch
from ledger.identity import newest_version, refuse_foreign
from ledger.ledger import Ledger

from .later_release import NEXT, THIS, later_release, run_in
from .ledgers import at_once, in_processes, opened

ROOT = Path(__file__).parent.parent

OpenLedger = Callable[..., Ledger]


@pytest.fixture
def ledger_url(empty_database: str) -> str:
    """Here a ledger begins with nothing, not even its tables."""
    return empty_database


def _columns(ledger: Ledger) -> list[str]:
    return ledger.database.read(
        lambda connection: [
            column["name"] for column in inspect(connection).get_columns("accounts")
        ]
    )


def test_an_empty_database_becomes_a_ledger(ledger_url: str, open_ledger: OpenLedger) -> None:
    """The first start gives it an identity, a UUID, which every later start finds."""
    first = open_ledger().identity.identity()
    assert str(uuid.UUID(first)) == first
    assert open_ledger().identity.prepare() == first
    assert run_in(ROOT, ledger_url, "prepare") == first


def test_two_ledgers_are_two(tmp_path: Path) -> None:
    """No identity is given twice."""
    ledgers = [Ledger(f"sqlite:///{tmp_path}/{n}/var/ledger.sqlite3") for n in range(2)]
    identities = [ledger.identity.prepare() for ledger in ledgers]
    for ledger in ledgers:
        ledger.close()
    assert identities[0] != identities[1]


def _prepare(ledger: Ledger, _: int) -> str:
    return ledger.identity.prepare()


def test_processes_that_start_at_once_prepare_one_ledger(ledger_url: str) -> None:
    """Worker, beat and sweeper on a new machine: none is refused, all find the same identity."""
    assert len(set(in_processes(_prepare, ledger_url, [1, 2, 3, 4]))) == 1


def test_a_ledger_knows_whether_it_was_ever_used(ledger: Ledger) -> None:
    """Empty until the first job was opened."""
    assert ledger.identity.is_empty()
    opened(ledger)
    assert not ledger.identity.is_empty()


def test_the_migrations_make_the_schema(ledger: Ledger) -> None:
    """Tables, columns, types, indexes and constraints are exactly what the program works with."""

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata))

    assert ledger.database.read(differences) == []


def test_the_newest_version_is_alembics(ledger: Ledger) -> None:
    """What the migrations' names say is what Alembic notes when it has run them all."""
    noted = ledger.database.read(
        lambda connection: MigrationContext.configure(connection).get_current_revision()
    )
    assert noted == newest_version() == ledger.identity.version()


def test_alembic_is_left_to_who_migrates(ledger: Ledger, ledger_url: str) -> None:
    """A process that starts on a ledger of its own version does not load it: starts are quick."""
    program = (
        "import sys; from ledger.ledger import Ledger; "
        f"print(Ledger({ledger_url!r}).identity.prepare(), 'alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [ledger.identity.identity(), "False"]


def test_an_older_schema_is_refused_with_the_way_out(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    """A later release leaves an older ledger alone, names the command, and goes on after it."""
    identity, later = ledger.identity.identity(), later_release(tmp_path)
    refused = run_in(later, ledger_url, "prepare")
    assert f"has version {THIS}, this program needs {NEXT}; nothing was changed" in refused
    assert refused.endswith("run: earwitness migrate")
    assert "nickname" not in _columns(ledger)
    assert run_in(later, ledger_url, "migrate") == NEXT
    assert run_in(later, ledger_url, "prepare") == identity
    assert "nickname" in _columns(ledger)


def test_a_newer_schema_is_refused(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    """An older program neither uses nor migrates a ledger of a later release."""
    run_in(later_release(tmp_path), ledger_url, "migrate")
    for act in (ledger.identity.prepare, ledger.identity.migrate):
        with pytest.raises(
            SchemaMismatch, match=rf"version {NEXT}, .* only versions up to {THIS};"
        ):
            act()


def test_a_migration_that_fails_changes_nothing(
    ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    """It is one transaction: the ledger stays what it was, for the program that fits it."""
    broken = later_release(tmp_path, then='raise RuntimeError("broken")')
    assert run_in(broken, ledger_url, "migrate") == "RuntimeError: broken"
    assert "nickname" not in _columns(ledger)
    assert ledger.identity.prepare() == ledger.identity.identity()
    assert ledger.identity.migrate() == newest_version()


def test_somebody_elses_database_is_left_alone(ledger_url: str) -> None:
    """Tables that are no ledger's: refused, and no table of ours is put beside them."""
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (number INTEGER)"))
    ledger = Ledger(ledger_url)
    try:
        with pytest.raises(SchemaMismatch, match="has tables, but not those of a ledger"):
            ledger.identity.prepare()
    finally:
        ledger.close()
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["invoices"]
    engine.dispose()


def test_a_foreign_identity_is_refused_with_both_names() -> None:
    """Who stands where, and what to do; one's own is welcome."""
    refuse_foreign("a", "a", "the archive", "point elsewhere")
    with pytest.raises(Foreign, match="ledger is a, but the archive belongs to ledger b"):
        refuse_foreign("a", "b", "the archive", "point elsewhere")


def test_commits_are_durable(ledger: Ledger) -> None:
    """What was committed survives a power cut: SQLite syncs every commit of its write-ahead log,
    PostgreSQL waits for the disk.
    """
    settings = ["PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA foreign_keys"]
    expected: list[Any] = ["wal", 2, 1]
    if not ledger.database.is_sqlite:
        settings, expected = ["SHOW synchronous_commit"], ["on"]
    for way in (ledger.database.read, ledger.database.write):
        seen = way(lambda c: [c.execute(text(one)).scalar_one() for one in settings])
        assert seen == expected


def test_threads_that_make_ledgers_of_their_own(tmp_path: Path) -> None:
    """Several ledgers may come to be in one process at once."""
    made = [Ledger(f"sqlite:///{tmp_path / f'{n}.sqlite3'}") for n in range(4)]
    try:
        assert len(set(at_once(*[ledger.identity.prepare for ledger in made]))) == 4
    finally:
        for ledger in made:
            ledger.close()
