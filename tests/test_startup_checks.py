"""What a worker refuses before it takes up anything, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from .deployment import Deployment, account_toml
from .servers import Postgres
from .simulators import Simulators
from .waiting import eventually

Deploy = Callable[..., Deployment]

ACCOUNT = {
    "provider": "vonage",
    "username": "john.doe@vbc.prod",
    "password": "a password",
    "client_id": "an id",
    "client_secret": "a secret",
}


def refused(house: Deployment, *options: str) -> str:
    """What a worker prints that does not start."""
    worker = house.celery("worker", *options, name="refused")
    eventually(lambda: not worker.alive, what="the worker did not end")
    assert worker.popen.returncode not in (0, None)
    assert "ready." not in worker.log()
    return worker.log()


@pytest.mark.parametrize(
    ("account", "nightly", "settings", "named"),
    [
        ({"provider": "vonnage"}, None, {}, "accounts.india.provider"),
        ({"password": ""}, None, {}, "accounts.india.password"),
        ({"pasword": "x"}, None, {}, "pasword"),
        ({}, {"timezone": "Asia/Calcuttta"}, {}, "accounts.india.nightly.timezone"),
        ({}, None, {"REDIS_URL": "redis+cluster://h:6379"}, "EARWITNESS_REDIS_URL"),
        ({}, None, {"ARCHIVE_URL": "ftp://h/x"}, "EARWITNESS_ARCHIVE_URL"),
        ({}, None, {"ACCOUNTS_FILE": "/nowhere/accounts.toml"}, "EARWITNESS_ACCOUNTS_FILE"),
        ({}, None, {"COLOUR": "red"}, "EARWITNESS_COLOUR"),
    ],
)
def test_wrong_configuration_is_refused_at_start(
    deploy: Deploy,
    account: dict[str, str],
    nightly: dict[str, Any] | None,
    settings: dict[str, str],
    named: str,
) -> None:
    """One sentence with the field's name, no traceback, no secret."""
    house = deploy(account_toml("india", {**ACCOUNT, **account}, nightly), settings=settings)
    said = refused(house)
    assert named in said
    assert "Traceback" not in said
    assert "a password" not in said
    assert "a secret" not in said


@pytest.mark.parametrize(
    ("options", "named"),
    [(("--pool", "solo"), "--pool"), (("--autoscale", "5,2"), "--autoscale")],
)
def test_a_worker_without_threads_of_its_own_is_refused(
    deploy: Deploy, options: tuple[str, str], named: str
) -> None:
    """Celery's other ways to run tasks: one sentence says which option to leave out."""
    said = refused(deploy(account_toml("india", ACCOUNT)), *options)
    assert f"leave {named} out" in said
    assert "Traceback" not in said


def test_a_worker_says_that_transfers_can_take_all_its_threads(
    deploy: Deploy, simulators: Simulators
) -> None:
    """With as many threads as transfers; one that is for downloads alone says nothing."""
    house = deploy(account_toml("india", simulators.vonage.account().configuration()))
    few = house.celery("worker", "-c", "2", "-n", "few@%h", "-l", "INFO", name="few")
    downloads = ("-c", "2", "-Q", "earwitness.downloads", "-n", "downloads@%h", "-l", "INFO")
    alone = house.celery("worker", *downloads, name="alone")
    for worker in (few, alone):
        eventually(lambda one=worker: " ready." in one.log(), what="it was not ready")
    eventually(lambda: "can take all threads of this worker (2)" in few.log())
    assert "can take all threads" not in alone.log()


def test_two_aliases_for_one_login_are_refused(deploy: Deploy) -> None:
    """Both are named."""
    said = refused(deploy(account_toml("india", ACCOUNT) + account_toml("again", ACCOUNT)))
    assert "india" in said
    assert "again" in said


def test_another_deployment_s_redis_is_refused(deploy: Deploy, simulators: Simulators) -> None:
    """Two ledgers on one Redis would take each other's messages: the second worker names both, also
    after the mark was lost by a flush. Where one is written there later, people are alerted.
    """
    accounts = account_toml("india", simulators.vonage.account().configuration())
    first, second = deploy(accounts), deploy(accounts)
    first.worker()
    ours = first.ledger.identity.identity()
    with first.valkey.client() as client:
        client.flushall()
        eventually(lambda: client.get("earwitness.ledger"), what="the mark was not set again")
    said = refused(second)
    theirs = second.ledger.identity.identity()
    assert ours in said
    assert theirs in said
    assert "EARWITNESS_REDIS_URL" in said

    def told() -> list[str]:
        return [one["cause"] for one in first.ledger.alerts.all_open()]

    with first.valkey.client() as client:
        client.set("earwitness.ledger", theirs)
        eventually(lambda: told() == ["contradiction:identity:redis"], what="nobody was told")
        client.set("earwitness.ledger", ours)
        eventually(lambda: told() == [], what="nobody was told that it is over")


def test_an_empty_ledger_beside_a_full_archive_is_refused(
    deploy: Deploy, simulators: Simulators
) -> None:
    """The archive says whose it is; an archive with files that says nothing is refused too."""
    accounts = account_toml("india", simulators.vonage.account().configuration())
    first = deploy(accounts)
    first.worker().stop()
    ours = first.ledger.identity.identity()
    second = deploy(accounts, settings={"ARCHIVE_URL": str(first.archive)})
    assert ours in refused(second)
    third = deploy(accounts)
    third.archive.mkdir()
    (third.archive / "something.zip").write_bytes(b"PK")
    assert "ledger.json" in refused(third)


@pytest.mark.parametrize("version", ["0000", "9999"])
def test_another_schema_is_refused_with_the_way_out(
    deploy: Deploy, simulators: Simulators, version: str
) -> None:
    """An older ledger names the command to run, a newer one the program."""
    house = deploy(account_toml("india", simulators.vonage.account().configuration()))
    with house.ledger.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
    said = refused(house)
    assert version in said
    assert "migrate" in said or "newer" in said


def test_a_worker_waits_for_its_ledger(deploy: Deploy, simulators: Simulators) -> None:
    """PostgreSQL comes up after the worker: nothing is lost, no hand is moved."""
    account = simulators.vonage.account()
    with Postgres() as server, server.database() as url:
        house = deploy(account_toml("india", account.configuration()), ledger_url=url)
        server.stop()
        worker = house.worker(ready=False)
        eventually(lambda: "waiting for it" in worker.log(), what="the worker did not say so")
        server.start()
        eventually(lambda: " ready." in worker.log(), what="the worker did not start")
        house.close()
