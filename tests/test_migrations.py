"""Upgrading: a newer schema only adds, so that workers of the older program go on beside it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import event

from config.settings import ROOT
from ledger.core import states
from ledger.identity import newest_version
from ledger.ledger import Ledger

from .deployment import Deployment, account_toml
from .later_release import NEXT, later_release, run_in
from .ledgers import ended
from .servers import free_port
from .simulators import Simulators

#: What may be done to a ledger that is in use, and what every migration does besides.
_ADDS_TABLE = re.compile(r'CREATE TABLE "?(\w+)"?', re.IGNORECASE)
_ADDS_INDEX = re.compile(r'CREATE (UNIQUE )?INDEX \S+ ON "?(\w+)"?', re.IGNORECASE)
_ADDS_COLUMN = re.compile(r"ALTER TABLE \S+ ADD COLUMN", re.IGNORECASE)
_ASIDE = re.compile(r"(SELECT|PRAGMA|WITH|BEGIN)\b", re.IGNORECASE)
_VERSION = re.compile(r"(INSERT INTO|UPDATE) alembic_version .*'?(\d{4})?", re.IGNORECASE)


@pytest.fixture
def ledger_url(empty_database: str) -> str:
    """Here a ledger begins with nothing, not even its tables."""
    return empty_database


def test_every_migration_only_adds(ledger_url: str) -> None:
    """After the first one: tables, columns that may be empty or have a default, and indexes; a
    unique one on a new table alone. Nothing is dropped, renamed or made stricter.
    """
    ledger = Ledger(ledger_url)
    _upgrade(ledger, "0001")
    said: list[str] = []
    event.listen(
        ledger.database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_: said.append(" ".join(statement.split())),
    )
    ledger.identity.migrate()
    ledger.close()
    assert sum(bool(_VERSION.match(one)) for one in said) == int(newest_version()) - 1
    new: set[str] = set()
    for statement in said:
        table = _ADDS_TABLE.match(statement)
        if table:
            new.add(table[1])
        index = _ADDS_INDEX.match(statement)
        fits = table or _VERSION.match(statement) or _ASIDE.match(statement)
        fits = fits or (index and (not index[1] or index[2] in new))
        fits = fits or statement.startswith("INSERT INTO ledger ")
        if not fits and _ADDS_COLUMN.match(statement):
            fits = "NOT NULL" not in statement.upper() or "DEFAULT" in statement.upper()
        assert fits, statement


def test_a_ledger_is_migrated_while_work_is_done(ledger_url: str, tmp_path: Path) -> None:
    """Jobs are opened, held and ended all the while by this release, while a later one migrates the
    ledger: each of them comes to its end, before and after, and the migration comes through.
    """
    later = later_release(tmp_path / "later")
    worker = Ledger(ledger_url)
    worker.identity.prepare()
    enough, failed, count = threading.Event(), [], [0]

    def work() -> None:
        try:
            while not enough.is_set():
                ended(worker, f"r{count[0]}")
                count[0] += 1
        except Exception as error:  # noqa: BLE001 - the test looks at it
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not count[0] and not failed:
            thread.join(0.01)
        migrated = run_in(later, ledger_url, "migrate")
        migrated_after = count[0]
        while count[0] < migrated_after + 5 and not failed:
            thread.join(0.01)
    finally:
        enough.set()
        thread.join(30)
    assert (failed, migrated) == ([], NEXT)
    assert worker.identity.version() == NEXT
    assert worker.jobs.counts() == {states.DONE: count[0]}
    worker.close()


@pytest.mark.parametrize(
    ("version", "way_out"),
    [("0002", "run: earwitness migrate"), ("9999", "run the newer program")],
)
def test_every_process_refuses_another_schema(
    deploy: Callable[..., Deployment], simulators: Simulators, version: str, way_out: str
) -> None:
    """The receiver and commands refuse as a worker does, each naming the command to run."""
    account = account_toml("india", simulators.vonage.account().configuration())
    house = deploy(account, settings={"HOOKS_BIND": f"127.0.0.1:{free_port()}"})
    with house.ledger.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
    for asked in (["hooks"], ["status"], ["quarantine"], ["doctor"]):
        done = house.run(*asked)
        assert done.returncode == 1
        assert way_out in done.stdout + done.stderr
    assert house.ledger.identity.version() == version


def _upgrade(ledger: Ledger, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "ledger" / "migrations"))

    def work(connection: Any) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, version)

    ledger.database.write(work)
