"""A ledger restored from a backup is older than its archive: it is noticed, and made whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from archive.verify.verification import verify
from ledger.core import states

from .certified_calls import CallHouse
from .deployment import ROOT, Deployment, account_toml
from .recent_days import TODAY, ZONE
from .restored import sums
from .servers import Postgres
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]
DAY = TODAY - timedelta(days=3)
#: As in docs/restore.md.
VACUUM = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("VACUUM INTO ?", sys.argv[2:])'
WHO = ("--by", "ana", "--note", "compared with the panel")


def run(*command: str | Path) -> None:
    """Run a program to its end."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


class Sqlite:
    """Backups of an SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.copy = folder / "backup.sqlite3"
        self.url = f"sqlite:///{folder / 'ledger.sqlite3'}"

    def back_up(self) -> None:
        """While workers write."""
        run(sys.executable, "-c", VACUUM, self.url.removeprefix("sqlite:///"), self.copy)

    @contextmanager
    def restored(self) -> Iterator[str]:
        """The copy in a place of its own; its URL."""
        elsewhere = self.copy.with_name("restored.sqlite3")
        self.copy.rename(elsewhere)
        yield f"sqlite:///{elsewhere}"


class Dump:
    """Backups of a PostgreSQL database."""

    def __init__(self, server: Postgres, url: str, folder: Path) -> None:
        self._server = server
        self._file = folder / "ledger.dump"
        self.url = url

    def back_up(self) -> None:
        """While workers write."""
        dump = self._server.programs / "pg_dump"
        run(dump, "--format=custom", f"--file={self._file}", _libpq(self.url))

    @contextmanager
    def restored(self) -> Iterator[str]:
        """The copy in a database of its own; its URL."""
        with self._server.database() as url:
            options = ("--no-owner", "--exit-on-error", "--single-transaction")
            restore = self._server.programs / "pg_restore"
            run(restore, *options, f"--dbname={_libpq(url)}", self._file)
            yield url


def _libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


@pytest.fixture(params=["sqlite", "postgres"])
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | Dump]:
    """A ledger's address, and the way its backups are made."""
    if request.param == "sqlite":
        yield Sqlite(tmp_path)
    else:
        server = request.getfixturevalue("postgres")
        with server.database() as url:
            yield Dump(server, url, tmp_path)


class Copied:
    """A house with calls, and a backup of its ledger that is older than what was done since."""

    def __init__(self, deploy: Deploy, simulators: Simulators, backup: Sqlite | Dump) -> None:
        account, platform = simulators.vonage.account(), simulators.gsmblockchain.account()
        account.configure(ready_after_polls=0)
        account.seed(DAY, ZONE, 2)
        accounts = account_toml(
            "india", account.configuration(), {"timezone": ZONE, "catchup_days": 1}
        )
        legal = {**platform.configuration(), "timeout_seconds": 20}
        self.house = deploy(accounts + account_toml("legal", legal), ledger_url=backup.url)
        self.calls = CallHouse(self.house, platform)
        self._backup = backup

    def work(self, app: Celery) -> None:
        """The copy is made while calls are placed; then more is done, and the worker killed."""
        worker = self.house.worker("before")
        self.ask(app, "first")
        asked = [self.calls.ask(app, f"beside-{n}") for n in range(8)]
        self._backup.back_up()
        self.told = [one.get(timeout=60) for one in asked]
        self.ask(app, "later")
        self.exported = self.export(app)
        self.owes_nothing()
        worker.kill()
        self.house.without_ledger()

    def ask(self, app: Celery, request_id: str) -> Any:
        """Place a call; what its caller is told."""
        return self.calls.ask(app, request_id).get(timeout=60)

    def export(self, app: Celery) -> Any:
        """Export the day; what its caller is told."""
        asked = self.house.send(app, "export.run", account="india", day=DAY.isoformat())
        return asked.get(timeout=60)

    def owes_nothing(self) -> None:
        """Wait until every receipt is written and under the chain."""
        eventually(lambda: not self.house.ledger.outbox.waiting(), what="something is owed")


def noticed(copied: Copied, app: Celery) -> None:
    """What is said of a restored ledger, and what is refused, before the archive was read."""
    house = copied.house
    found = json.loads(house.run("doctor", "--json").stdout)
    (said,) = [one for one in found if one["subject"] == "restored"]
    assert said["level"] == "error"
    assert "the ledger is older than the archive" in said["meaning"]
    assert "rebuild --restored" in said["advice"]
    worker = house.worker("after")
    assert "the ledger is in quarantine" in worker.log()
    assert copied.calls.job("later") is None
    with pytest.raises(Exception, match="the ledger was restored") as undecided:
        copied.ask(app, "new")
    assert type(undecided.value).__name__ == "Uncertain"
    lifted = house.run("quarantine", "--lift", *WHO)
    assert (lifted.returncode, "rebuild --restored" in lifted.stderr) == (1, True)
    emptied = house.run("rebuild")
    assert (emptied.returncode, "is not empty" in emptied.stderr) == (1, True)
    assert worker.stop() == 0


def test_a_backup_is_made_restored_and_made_whole(
    deploy: Deploy, simulators: Simulators, backup: Sqlite | Dump
) -> None:
    """The copy is made while calls are placed. Restored after more was done, the first worker that
    starts notices that the archive knows more and begins a quarantine, which is not lifted before
    the archive was read. Then everything is known again, and no call was placed twice.
    """
    copied = Copied(deploy, simulators, backup)
    house = copied.house
    with house.producer() as app:
        copied.work(app)
        before, placed = sums(house.archive), copied.calls.placed()
        assert placed == 10
        with backup.restored() as url:
            house.ledger_url = url
            noticed(copied, app)

            done = house.run("rebuild", "--restored")
            assert (done.returncode, "1 day complete" in done.stdout) == (0, True), done.stdout
            assert sums(house.archive) == before
            assert (
                "nothing that it did not hold already" in house.run("rebuild", "--restored").stdout
            )
            assert house.run("quarantine", "--lift", *WHO).returncode == 0

            worker = house.worker("whole")
            assert "the ledger is in quarantine:" not in worker.log()
            assert [copied.ask(app, f"beside-{n}") for n in range(8)] == copied.told
            assert copied.calls.in_state("later", states.DONE)
            assert copied.export(app) == copied.exported
            assert copied.calls.placed() == placed
            copied.ask(app, "after")
            copied.owes_nothing()
            assert verify(house.store).problems == []
            worker.stop()
            house.without_ledger()
    assert copied.calls.placed() == placed + 1
    assert len(simulators.log.exports()) == 1
