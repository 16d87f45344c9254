"""``backup`` and ``migrate --from``: a whole copy while workers run, and the ways back."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from ledger.core import states
from ledger.core.schema import audit, metadata, waiters
from ledger.ledger import Ledger

from .certified_calls import CallHouse, call_house
from .deployment import Deployment, account_toml
from .recent_days import YESTERDAY, ZONE
from .servers import Postgres, free_port
from .simulators import Simulators
from .waiting import LOADED_SECONDS, eventually

Deploy = Callable[..., Deployment]


def contents(folder: Path) -> dict[str, str]:
    """Every text of a backup, by name."""
    return {path.name: path.read_text(errors="replace") for path in folder.iterdir()}


def rows(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the audit, to which a backup and a move add."""
    with ledger.database.engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if table is not audit
        }


def is_quiet(ledger: Ledger) -> bool:
    """Whether nothing is owed, and every task is marked as answered: its result comes before."""
    unanswered = select(func.count()).select_from(waiters).where(waiters.c.answered_at.is_(None))
    with ledger.database.engine.connect() as connection:
        return not connection.execute(unanswered).scalar_one() and not ledger.outbox.waiting()


@pytest.fixture(params=["sqlite", "postgres"])
def office(
    request: pytest.FixtureRequest, deploy: Deploy, simulators: Simulators
) -> Iterator[CallHouse]:
    """A house with an account for calls and one with nights, on either database, with metrics."""
    with ExitStack() as stack:
        more: dict[str, Any] = {"settings": {"METRICS_BIND": f"127.0.0.1:{free_port()}"}}
        if request.param == "postgres":
            server = request.getfixturevalue("postgres")
            more["ledger_url"] = stack.enter_context(server.database())
        office = call_house(deploy, simulators, **more)
        india = simulators.vonage.account()
        india.seed(YESTERDAY, ZONE, 2)
        with office.house.accounts_file.open("a") as file:
            night = {"timezone": ZONE, "filters": {"call_direction": "INBOUND"}}
            file.write(account_toml("india", india.configuration(), night))
        yield office
        office.house.close()


def test_a_backup_is_whole_private_and_without_secrets(
    office: CallHouse, tmp_path: Path, postgres: Postgres
) -> None:
    """Taken while a worker runs, from either database. It names what it holds, overwrites nothing,
    and is the way to another database: every row is there again, and work goes on from it.
    """
    house, target = office.house, tmp_path / "kept" / "backup"
    worker = house.worker()
    with house.producer() as app:
        office.ask(app, "c1").get(timeout=60)
        house.send(app, "export.run", account="india", day=YESTERDAY.isoformat()).get(timeout=60)
        eventually(lambda: is_quiet(house.ledger), what="something is still to be written")
        before = rows(house.ledger)
        done = house.run("backup", "--to", str(target), "--json")
        assert done.returncode == 0, done.stderr
        manifest = json.loads(done.stdout)
        office.ask(app, "c2").get(timeout=60)
    _is_private(target)
    _tells_no_secret(house, target)
    assert manifest["rows"]["jobs"] == len(before["jobs"])
    known = house.ledger.archive_record.heads()
    heads = json.loads((target / "heads.json").read_text())
    assert heads.keys() == known.keys()
    assert heads["india"]["sha256"] == known["india"].sha256
    _overwrites_nothing(house, target)
    _is_counted(house)
    worker.stop()
    house.settings["LEDGER_URL"] = f"sqlite:///{tmp_path / 'restored.sqlite3'}"
    assert "IN QUARANTINE" in house.run("migrate", "--from", str(target)).stdout

    with postgres.database() as url:
        house.settings["LEDGER_URL"] = url
        moved = house.run("migrate", "--from", str(target))
        assert moved.returncode == 0, moved.stderr
        assert "IN QUARANTINE" in moved.stdout
        again = Ledger(url, lease_seconds=10)
        assert again.identity.identity() == manifest["ledger"]
        assert again.identity.quarantined()
        after = rows(again)
        for name in before.keys() - {"ledger", "alerts", "obligations"}:
            assert after[name] == before[name], name
        # The quarantine is an alert, and people are to be told of it.
        assert set(map(repr, before["obligations"])) < set(map(repr, after["obligations"]))
        assert "holds jobs" in house.run("migrate", "--from", str(target)).stderr
        made = house.run("rebuild", "--restored")
        assert made.returncode == 0, made.stderr
        assert {job.request_id for job in again.jobs.jobs(account="legal")} == {"c1", "c2"}
        again.close()
    (target / "accounts.toml").write_text("")
    assert "was changed or damaged" in house.run("migrate", "--from", str(target)).stderr


def _is_private(target: Path) -> None:
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()} == {0o600}
    assert not [path for path in target.parent.iterdir() if path != target]


def _tells_no_secret(house: Deployment, target: Path) -> None:
    """No secret of an account is in any file but the ledger, whose tokens are sealed; what is kept
    reads as the same accounts once the secrets are there again.
    """
    written = tomllib.loads(house.accounts_file.read_text())["accounts"]
    found = contents(target)
    kept = tomllib.loads(found["accounts.toml"])["accounts"]
    left_out = json.loads(found["backup.json"])["secrets_left_out"]
    for alias, table in written.items():
        lacking = {name.rpartition(".")[2] for name in left_out if f".{alias}." in name}
        assert lacking
        assert kept[alias] == {key: value for key, value in table.items() if key not in lacking}
        for key in lacking:
            assert not [name for name, text in found.items() if str(table[key]) in text]


def _overwrites_nothing(house: Deployment, target: Path) -> None:
    before = contents(target)
    again = house.run("backup", "--to", str(target))
    assert again.returncode == 1
    assert "exists and is not an empty folder" in again.stderr
    assert contents(target) == before
    assert list(target.parent.iterdir()) == [target]


def _is_counted(house: Deployment) -> None:
    address = f"http://{house.settings['METRICS_BIND']}/metrics"
    told = httpx.get(address, timeout=LOADED_SECONDS).text
    found = re.search(r"^earwitness_backup_age_seconds (\S+)$", told, re.MULTILINE)
    assert found
    assert 0 <= float(found[1]) < 300


def test_a_ledger_moves_from_sqlite_to_postgresql(
    deploy: Deploy, simulators: Simulators, postgres: Postgres
) -> None:
    """Every row comes along, numbering goes on, the same workers go on; the file that was left is
    in quarantine, so that a forgotten worker places no call from it.
    """
    office = call_house(deploy, simulators)
    house = office.house
    worker = house.worker()
    with house.producer() as app:
        first = office.ask(app, "c1").get(timeout=60)
        worker.kill()
        before, old = rows(house.ledger), house.ledger_url
        with postgres.database() as url:
            house.settings["LEDGER_URL"] = url
            moved = house.run("migrate", "--from", old.removeprefix("sqlite:///"))
            assert moved.returncode == 0, moved.stderr
            assert house.ledger.identity.quarantined()
            new = Ledger(url, lease_seconds=10)
            assert rows(new) == before
            house.worker("moved")
            assert office.ask(app, "c1").get(timeout=60) == first
            assert office.ask(app, "c2").get(timeout=60)["state"] == states.DONE
            with new.database.engine.connect() as connection:
                steps = connection.execute(select(func.count(), func.count(audit.c.id.distinct())))
                assert len(set(steps.one())) == 1
            new.close()
            house.close()
    assert office.placed() == 2
