"""Other users of the machine read neither secrets nor what people said."""

from __future__ import annotations

import json
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import load
from worker.commands.doctor import files
from worker.commands.doctor.findings import Finding

from .archives import full_archive
from .deployment import Deployment, account_toml
from .servers import Valkey
from .simulators import Simulators


@pytest.fixture
def house(valkey: Valkey, simulators: Simulators) -> Iterator[Deployment]:
    """A deployment in a folder through which every user may go."""
    account = simulators.vonage.account()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        deployment = Deployment(folder, valkey, account_toml("india", account.configuration()))
        deployment.accounts_file.chmod(0o644)
        try:
            yield deployment
        finally:
            deployment.close()


def others(path: Path) -> int:
    """What users may who are neither the owner nor of the group."""
    return stat.S_IMODE(path.stat().st_mode) & 0o007


def test_what_a_worker_and_a_command_write_is_not_for_others(house: Deployment) -> None:
    """With the usual umask the ledger, the archive and the spool are closed to other users, made by
    the command line as by a worker.
    """
    assert house.run("migrate").returncode == 0
    made_by_hand = set(house.folder.rglob("*"))
    assert house.folder / "ledger.sqlite3" in made_by_hand
    house.worker().stop()
    made = {path for path in house.folder.rglob("*") if path.suffix not in (".log", ".toml")}
    assert house.archive / "ledger.json" in made - made_by_hand
    assert {str(path) for path in made if others(path)} == set()


def test_what_commands_take_out_of_an_archive_is_not_for_others(house: Deployment) -> None:
    """A recording that is extracted, with its line and its manifest, and the folder it lies in; a
    ledger that is rebuilt.
    """
    archive = full_archive(house.folder / "builder").root
    case = house.folder / "case"
    asked = ("101", "--account", "india", "--archive", str(archive), "--to", str(case))
    assert house.run("extract", *asked).returncode == 0
    assert house.run("quarantine").returncode == 0
    made = [case, *case.iterdir(), *house.folder.glob("ledger.sqlite3*")]
    assert len(made) > 4
    assert {str(path) for path in made if others(path)} == set()


def test_doctor_names_what_others_may_read(
    house: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accounts file that every user may read is a warning with the command that ends it; behind
    a folder that nobody else may enter it is none.
    """

    def found(accounts_file: Path) -> Finding:
        for name, value in {**house.environment, "EARWITNESS_ACCOUNTS_FILE": accounts_file}.items():
            monkeypatch.setenv(name, str(value))
        (finding,) = files.examined(load())
        return finding

    told = found(house.accounts_file)
    assert (told.level, told.advice) == ("warning", f"run: chmod -R o-rwx {house.accounts_file}")
    closed = tmp_path / "accounts.toml"
    closed.write_text(house.accounts_file.read_text())
    closed.chmod(0o644)
    assert found(closed).level == "ok"
    house.accounts_file.chmod(0o640)
    assert found(house.accounts_file).level == "ok"
    house.accounts_file.chmod(0o644)
    said = json.loads(house.run("doctor", "--json").stdout)
    assert [one["level"] for one in said if one["subject"] == "files"] == ["warning"]
