"""The backups that docs/restore.md makes: nobody else reads them, and git does not take them."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from .deployment import ROOT, machine
from .pages import DOCS
from .servers import Postgres

PAGE = (DOCS / "restore.md").read_text()
SECTION = PAGE[PAGE.index("## Backups") : PAGE.index("## The ledger is lost")]
#: Every command of the section, in its order: the folder, the archive, SQLite twice, PostgreSQL.
FOLDER, ARCHIVE, SQLITE, PYTHON, DUMP = re.findall(r"(?ms)^```\n(.*?)^```$", SECTION)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project's root with a ledger in use and an archive, on a machine with the usual umask."""
    ledger = tmp_path / "var/ledger.sqlite3"
    ledger.parent.mkdir()
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE jobs (phone TEXT)")
    (tmp_path / "var/archive/india").mkdir(parents=True)
    (tmp_path / "var/archive/india/a.json").write_text("{}")
    return tmp_path


def types(root: Path, *commands: str, **more: str) -> None:
    """Type commands of the page in the root, one after the other."""
    path = os.pathsep.join([str(Path(sys.executable).parent), machine()["PATH"]])
    for command in commands:
        subprocess.run(
            ["sh", "-ec", f"umask 022\n{command}"],
            cwd=root,
            env={**machine(), "PATH": path, **more},
            check=True,
        )


def mode(path: Path) -> int:
    """Who may do what with a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("command", [SQLITE, PYTHON], ids=["sqlite3", "python"])
def test_a_copy_of_an_sqlite_ledger_is_its_owner_s_alone(root: Path, command: str) -> None:
    """The file and its folder, one that was there and open to all too; the copy is whole."""
    (root / "backup").mkdir(mode=0o755)
    types(root, FOLDER, command)
    copy = root / "backup/ledger.sqlite3"
    assert (mode(copy.parent), mode(copy)) == (0o700, 0o600)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_a_dump_of_a_postgresql_ledger_is_its_owner_s_alone(root: Path, postgres: Postgres) -> None:
    """As pg_dump writes it."""
    with postgres.ledger() as url:
        address = url.replace("postgresql+psycopg://", "postgresql://")
        programs = os.pathsep.join([str(postgres.programs), machine()["PATH"]])
        command = DUMP.replace("postgresql://USER@HOST/DATABASE", f"'{address}'")
        types(root, FOLDER, command, PATH=programs)
    dump = root / "backup/ledger.dump"
    assert (mode(dump.parent), mode(dump)) == (0o700, 0o600)
    assert dump.read_bytes().startswith(b"PGDMP")


def test_a_copy_of_the_archive_lies_behind_the_same_folder(root: Path) -> None:
    """Copied a second time it is taken up where it was."""
    types(root, FOLDER, ARCHIVE, ARCHIVE)
    assert (root / "backup/archive/india/a.json").read_text() == "{}"
    assert mode(root / "backup") == 0o700


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout of git")
@pytest.mark.parametrize(
    "name",
    [
        "backup/ledger.sqlite3",
        "backup/ledger.dump",
        "backup/archive/india/chain/00000001.json",
        "copy/ledger.json",
        "backup.sqlite3",
        "ledger.dump",
        "ledger.sqlite3-wal",
        "193228.mp3",
        "var/archive/ledger.json",
        "accounts.toml",
    ],
)
def test_git_takes_no_backup(name: str) -> None:
    """The names of the page, and those that earlier editions of it had."""
    asked = ["git", "check-ignore", "--quiet", "--no-index", name]
    assert subprocess.run(asked, cwd=ROOT, check=False).returncode == 0
