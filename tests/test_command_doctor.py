"""``doctor``: every finding says what it means and what to do, and nothing is left behind."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ledger.core import states
from ledger.core.schema import ledger as ledger_table
from ledger.core.schema import obligations
from worker.commands.doctor import filesystems

from .deployment import Deployment, account_toml
from .ledgers import pass_time, running
from .recent_days import YESTERDAY, ZONE
from .servers import Valkey
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .waiting import eventually

Found = dict[tuple[str, str], str]


@pytest.fixture
def account(simulators: Simulators) -> AccountDoor:
    """An account at the simulated provider."""
    return simulators.vonage.account()


@pytest.fixture
def house(deploy: Callable[..., Deployment], account: AccountDoor) -> Deployment:
    """A deployment whose nights begin at midnight."""
    return deploy(
        account_toml("india", account.configuration(), {"timezone": ZONE, "catchup_days": 1})
    )


def examined(house: Deployment) -> tuple[int, Found]:
    """The status of a doctor's visit, and what was found by level and subject."""
    done = house.run("doctor", "--json")
    assert done.stdout, done.stderr
    found: Found = {}
    for one in json.loads(done.stdout):
        key = (one["level"], one["subject"])
        found[key] = f"{found.get(key, '')}{one['meaning']}\n"
        assert (one["advice"] is None) == (one["level"] == "ok")
    return done.returncode, found


def levels(found: Found, level: str) -> set[str]:
    """What was found at this level."""
    return {subject for at, subject in found if at == level}


def files(root: Path) -> set[str]:
    """Every file and folder, but for the empty one of files on their way."""
    return {str(path.relative_to(root)) for path in root.rglob("*")} - {".incoming"}


def test_a_healthy_deployment_has_no_errors(
    house: Deployment, account: AccountDoor, simulators: Simulators
) -> None:
    """With a worker, a planned night and everything archived: status 0, one line a finding, and no
    file more than before.
    """
    account.seed(YESTERDAY, ZONE, 2)
    house.worker()
    with house.producer() as app:
        house.send(app, "nightly.plan")
        eventually(
            lambda: [day.state for day in house.ledger.days.of("india")] == ["complete"],
            what="the night was not completed",
        )
    eventually(lambda: not house.ledger.outbox.waiting(), what="something stayed owed")
    before = files(house.archive), files(house.spool)
    logins = len(simulators.vonage.secrets())
    status, found = examined(house)
    assert (status, levels(found, "error")) == (0, set())
    assert levels(found, "warning") == {"redis"}  # the test's Valkey keeps no append-only file
    assert "append-only" in found["warning", "redis"]
    assert "refuses to overwrite files" in found["ok", "archive"]
    assert "without a copy" in found["ok", "spool"]
    assert found["ok", "workers"].count("is consumed by") == 3
    assert "credentials are accepted" in found["ok", "account india"]
    assert str(YESTERDAY) in found["ok", "beat"]
    assert (files(house.archive), files(house.spool)) == before
    assert len(simulators.vonage.secrets()) == logins
    printed = house.run("doctor")
    assert printed.returncode == 0
    assert all(
        line.split()[0] in ("ok", "warning", "error") for line in printed.stdout.splitlines()
    )


def test_nothing_is_made_where_nothing_is(house: Deployment) -> None:
    """Before the first start: no ledger, no archive and no spool are made; the missing workers are
    the only errors.
    """
    status, found = examined(house)
    assert (status, levels(found, "error")) == (1, {"workers"})
    assert found["error", "workers"].count("no worker consumes") == 3
    assert "ledger" in levels(found, "warning")
    assert {path.name for path in house.folder.iterdir()} == {"accounts.toml"}


def test_redis_away_is_one_error_within_seconds(house: Deployment) -> None:
    """Dead or frozen, Redis is reported, and everything else is examined all the same."""
    house.ledger.identity.prepare()
    house.valkey.freeze()
    status, found = examined(house)
    house.valkey.thaw()
    assert status == 1
    assert "does not answer" in found["error", "redis"]
    assert "no job failed" in found["ok", "jobs"]


def test_what_belongs_to_another_ledger_is_named(house: Deployment) -> None:
    """An archive and a Redis database of another ledger are errors that name it."""
    house.ledger.identity.prepare()
    other = str(uuid.uuid4())
    house.store.create("ledger.json", json.dumps({"schema": 1, "ledger": other}).encode())
    with house.valkey.client() as client:
        client.set("earwitness.ledger", other)
    status, found = examined(house)
    assert status == 1
    assert other in found["error", "archive"]
    assert other in found["error", "redis"]


def test_a_ledger_that_can_not_be_read_hides_nothing_else_and_accuses_nobody(
    house: Deployment,
) -> None:
    """A file that is not a database, and a path that can be none: one error of the ledger, all else
    examined, and nobody told to give up archive or Redis as another ledger's.
    """
    identity = house.ledger.identity.prepare()
    house.store.create("ledger.json", json.dumps({"schema": 1, "ledger": identity}).encode())
    with house.valkey.client() as client:
        client.set("earwitness.ledger", identity)
    no_database = house.folder / "text"
    no_database.write_text("no database " * 400)
    too_long = house.folder / ("x" * 300)
    for file, words in ((no_database, "file is not a database"), (too_long, "too long")):
        house.settings["LEDGER_URL"] = f"sqlite:///{file}"
        status, found = examined(house)
        assert (status, levels(found, "error")) == (1, {"ledger", "workers"})
        assert words in found["error", "ledger"]
        assert {"archive", "spool", "redis"} <= levels(found, "ok")


def test_what_is_left_undone_is_told(house: Deployment, account: AccountDoor) -> None:
    """Something pending for an hour with its reason, an alert that nobody takes, a failed job, an
    incomplete day, a resting account, nights that nobody planned.
    """
    ledger = house.ledger
    house.settings.update(ALERT_URL="https://alerts.example.com", ALERT_SECRET="signed")
    job, lease = running(ledger, "r1")
    ledger.execution.finish(lease, states.FAILED, reason="not done: no such export")
    ledger.outbox.owe(job.job_id, "india", "chain", {"path": "p", "sha256": "s"})
    (owed,) = ledger.outbox.due(limit=1)
    ledger.outbox.failed([owed.id], "the disk is full")
    ledger.outbox.owe(job.job_id, "india", "webhook", {"cause": "a"})
    (owed,) = ledger.outbox.due(limit=1, webhooks=True)
    ledger.outbox.failed([owed.id], "alerts.example.com did not answer")
    pass_time(ledger, 3600, obligations.c.created_at)
    pass_time(ledger, 3600, ledger_table.c.created_at)
    ledger.accounts.postpone("india", 600, "the provider asked to wait")
    account.seed(YESTERDAY, ZONE, 1)
    status, found = examined(house)
    assert status == 1
    assert "the disk is full" in found["warning", "pending"]
    assert "1 not delivered" in found["warning", "alerts"]
    assert "did not answer" in found["warning", "alerts"]
    assert "no such export" in found["warning", "jobs"]
    assert "asked to wait" in found["warning", "account india"]
    assert f"india since {YESTERDAY}" in found["error", "beat"]


class Late(BaseHTTPRequestHandler):
    """A provider whose clock is two minutes behind."""

    def do_GET(self) -> None:
        self.send_response_only(404)
        self.send_header("Date", formatdate(time.time() - 120, usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is told."""


def test_a_clock_that_differs_and_a_provider_away_are_told(
    deploy: Callable[..., Deployment], account: AccountDoor
) -> None:
    """A provider two minutes behind is a warning, one that nobody reaches an error, and neither is
    logged in to.
    """
    with HTTPServer(("127.0.0.1", 0), Late) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        table = account.configuration()
        late = {**table, "base_url": f"http://127.0.0.1:{server.server_port}"}
        away = {**table, "base_url": "http://127.0.0.1:1"}
        house = deploy(account_toml("late", late) + account_toml("away", away))
        _, found = examined(house)
        server.shutdown()
    assert re.search("1[0-9][0-9] s ahead of", found["warning", "provider of late"])
    assert "does not answer" in found["error", "provider of away"]


@pytest.fixture
def forgetful() -> Iterator[Valkey]:
    """A Valkey that throws keys away when its memory is full."""
    with Valkey() as server:
        with server.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        yield server


def test_a_redis_that_forgets_is_warned_of(
    forgetful: Valkey, account: AccountDoor, tmp_path: Path
) -> None:
    """An eviction policy other than noeviction can lose what was not accepted yet."""
    (tmp_path / "house").mkdir()
    house = Deployment(
        tmp_path / "house", forgetful, account_toml("india", account.configuration())
    )
    try:
        _, found = examined(house)
    finally:
        house.close()
    assert "allkeys-lru" in found["warning", "redis"]


def test_a_path_lies_on_the_innermost_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of nested mounts the innermost counts; an escaped space in its name is understood."""
    inside = tmp_path / "net work"
    inside.mkdir()
    mounts = tmp_path / "mounts"
    escaped = str(inside).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\n")
    monkeypatch.setattr(filesystems, "_MOUNTS", mounts)
    assert filesystems.filesystem(inside / "ledger.sqlite3") == "nfs4"
    assert filesystems.filesystem(tmp_path / "ledger.sqlite3") == "ext4"
    assert "nfs4" in filesystems.NETWORK
