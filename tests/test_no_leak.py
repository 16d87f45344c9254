"""No credential and no token is ever written down where people or other programs read."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from worker.catalogue.contents import public_tasks

from .canaries import found
from .deployment import Deployment
from .scene import ODD, Scene, contents
from .simulators import Simulators
from .watched_redis import GuardedValkey, Watch

pytestmark = pytest.mark.long


#: Where nothing is shown that a caller or an operator has named, so that nothing can be planted.
NAMELESS = {
    "Flower /api/task/types",
    "Flower /api/queues/length",
    "Flower /nowhere/<id>",
    "Flower /tasks",  # its rows come from /tasks/datatable
    "ledger.sqlite3-shm",
}

#: What beat sends, and what is refused for jobs that have ended: other tests meet them.
ELSEWHERE = {"earwitness.nightly.plan", "earwitness.report.write", "earwitness.job.cancel"}

#: One that looks different in every notation.
REDIS_PASSWORD = 'redis &"pä/ss\\wörd%<1>'


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[GuardedValkey]:
    """A Redis with a password that writes down every command."""
    with GuardedValkey(tmp_path / "aof", REDIS_PASSWORD) as server:
        yield server


def logs(scene: Scene) -> dict[str, bytes]:
    """What worker, beat, Flower and the receiver said at DEBUG, until their end."""
    for process in scene.processes:
        assert process.stop() == 0, process.log()
    for process in (scene.processes[1], scene.processes[3]):  # no caller reaches beat and receiver
        with process.output.open("a") as log:
            log.write(f"{scene.planted}\n")
    return {f"log of {one.output.stem}": one.output.read_bytes() for one in scene.processes}


def messages(valkey: GuardedValkey, watch: Watch) -> dict[str, bytes]:
    """What went through Redis, lay in it, and stands in its file."""
    return {
        "Redis' keys and values": watch.content,
        "Redis' commands": watch.commands,
        "Redis' AOF": valkey.written(),
    }


def in_use(database: Path) -> dict[str, bytes]:
    """The files that stand beside the ledger while somebody has it open, with the planted name
    written once more: the log of writes begins anew from time to time.
    """
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute("UPDATE jobs SET updated_at = updated_at + 0.001 WHERE state = 'done'")
    files = {path.name: path.read_bytes() for path in database.parent.glob(f"{database.name}-*")}
    assert set(files) == {"ledger.sqlite3-shm", "ledger.sqlite3-wal"}
    return files


def at_rest(database: Path) -> dict[str, bytes]:
    """The ledger's clear columns, and its file once nobody has it open."""
    columns = clear_columns(database)
    assert not list(database.parent.glob(f"{database.name}-*")), "somebody has it open"
    return {"the ledger's clear columns": columns, database.name: database.read_bytes()}


def results(scene: Scene) -> bytes:
    """What callers were answered: as text, as Python shows it, as JSON."""
    answers = [answer for _, answer in scene.answers]
    as_json = json.dumps(answers, default=lambda error: error.args)
    return "\n".join([*map(str, answers), *map(repr, answers), as_json]).encode()


def commands(scene: Scene) -> bytes:
    """What the command line says."""
    asked = [["status"], ["accounts", "check"], ["doctor"], ["show", scene.planted]]
    said = [scene.house.run(*arguments) for arguments in asked]
    return "\n".join(one.stdout + one.stderr for one in said).encode()


def clear_columns(database: Path) -> bytes:
    """Every column of every table but the one that holds sealed tokens."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        rows = [
            (table, column, row[column])
            for (table,) in tables.fetchall()
            for row in connection.execute(f'SELECT * FROM "{table}"')
            for column in row.keys()  # noqa: SIM118 - a row is no dictionary
            if (table, column) != ("accounts", "token")
        ]
    return "\n".join(f"{table}.{column}: {value}" for table, column, value in rows).encode()


@pytest.mark.timeout(240)
def test_no_secret_is_written_down_anywhere(
    deploy: Callable[..., Deployment], simulators: Simulators, valkey: GuardedValkey
) -> None:
    """Every task, and every operation with every misbehaviour, an error that repeats our secrets
    among them: no credential and no token stands in any log, page, message, result, row or file,
    and something harmless that was planted is found in each of these places by the same search.
    """
    scene = Scene(deploy, simulators, REDIS_PASSWORD)
    ledger = scene.house.folder / "ledger.sqlite3"
    with closing(Watch(valkey)) as watch, scene.house.producer() as app:
        scene.start()
        scene.every_task(app)
        scene.every_trouble(app)
        scene.calls(app)
        scene.live_calls(app)
        scene.telephone_system(app)
        scene.transfer(app)
        scene.visit(app)
        said = commands(scene)
        places = {
            **in_use(ledger),
            **logs(scene),
            **at_rest(ledger),
            **{f"Flower {path}": page for path, page in scene.pages.items()},
            "results": results(scene),
            "the archive": contents(scene.house.archive),
            "the spool": scene.spool,
            "the command line": said,
        }
    assert scene.done == public_tasks().keys() - ELSEWHERE
    places |= messages(valkey, watch)
    assert len(simulators.log.effects("token_issued")) >= 6
    assert sorted(found(scene.canaries(), places)) == []
    assert "HTTP 400 (Rejected: ***" in str(scene.answers), "no error repeated what we sent"
    planted = {place for place, _ in found([scene.planted], places)}
    assert sorted(set(places) - planted - NAMELESS) == []


@pytest.mark.parametrize(
    "secret",
    [REDIS_PASSWORD, "x" + ODD + "longer", "d3fd8adb-c6b8-4795-a8cb-626c01779494"],
    ids=["redis", "odd", "token"],
)
def test_the_search_finds_a_secret_in_every_notation(secret: str) -> None:
    """As it is, percent-encoded, in base64 at each of three offsets, as JSON, as JSON within JSON
    within base64; what is not there is not found.
    """
    as_json = json.dumps({"a": secret})
    written = [
        f"before {secret} after",
        f"https://user:{quote(secret, safe='')}@host/",
        as_json,
        json.dumps({"body": as_json}),
        repr([secret]),
        *(base64.b64encode(("-" * n + secret + "--").encode()).decode() for n in range(3)),
        *(base64.urlsafe_b64encode(("-" * n + as_json).encode()).decode() for n in range(3)),
    ]
    for text in written:
        assert found([secret], {"here": text.encode()}) == {("here", secret)}, text
        assert found([secret[:-1] + "#"], {"here": text.encode()}) == set(), text
