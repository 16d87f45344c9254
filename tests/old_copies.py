"""How old_house.py ages and copies a ledger, and packs what it keeps."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from tests.servers import Postgres


def long_ago(url: str, account: str, day: date) -> None:
    """Let a day have been listed forty days earlier than it was."""
    engine = create_engine(url)
    listed = "SELECT completed_by FROM days WHERE account = :account AND day = :day"
    earlier = f"UPDATE jobs SET updated_at = updated_at - 3456000 WHERE job_id = ({listed})"
    with engine.begin() as connection:
        connection.execute(text(earlier), {"account": account, "day": str(day)})
    engine.dispose()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """A ledger's URL, and what writes its copy to a folder."""
    if kind == "sqlite":
        file = folder / "ledger.sqlite3"

        def copied(target: Path) -> None:
            connection = sqlite3.connect(file)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("VACUUM INTO ?", [str(target / "ledger.sqlite3")])
            connection.close()

        yield f"sqlite:///{file}", copied
        return
    with Postgres() as server, server.database() as url:

        def dumped(target: Path) -> None:
            command = [server.programs / "pg_dump", "--no-owner", "--no-privileges", "--inserts"]
            command += ["--rows-per-insert=50", url.replace("+psycopg", "")]
            lines = subprocess.run(command, check=True, capture_output=True).stdout.splitlines(True)
            # Lines for psql alone; without them any client can run the dump.
            sql = b"".join(
                one for one in lines if not one.startswith((b"\\restrict", b"\\unrestrict"))
            )
            (target / "ledger.sql").write_bytes(sql)

        yield url, dumped


def packed(folder: Path, target: Path) -> None:
    """Pack a folder: the same files give the same bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:xz", preset=9) as tar:
        for path in sorted(folder.rglob("*")):
            one = tar.gettarinfo(path, str(path.relative_to(folder)))
            one.uid = one.gid = one.mtime = 0
            one.uname = one.gname = ""
            one.type = tarfile.REGTYPE if path.is_file() else tarfile.DIRTYPE
            one.size = path.stat().st_size if path.is_file() else 0
            tar.addfile(one, io.BytesIO(path.read_bytes()) if path.is_file() else None)
