"""``doctor`` on what several hosts share: the ledger's durability, the receiver of notifications,
Redis' memory and role, workers of several hosts on one SQLite file.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import make_url

from .deployment import Deployment, account_toml
from .hosts import Host
from .ozeki_house import ozeki_house
from .servers import Postgres, Valkey
from .simulators import Simulators
from .test_command_doctor import examined, levels

Deploy = Callable[..., Deployment]


def test_workers_of_two_hosts_on_one_sqlite_file_are_warned_of(
    deploy: Deploy, simulators: Simulators
) -> None:
    """SQLite's locks hold on one host; which hosts they are is named."""
    account = simulators.vonage.account()
    house = deploy(account_toml("india", account.configuration()))
    for name in ("east", "west"):
        Host(house, name, 0).worker_of_it()
    _, found = examined(house)
    assert "east, west" in found["warning", "workers"]


def test_what_servers_tell_is_followed_to_the_ledger(
    deploy: Deploy, simulators: Simulators
) -> None:
    """Without a receiver, with something else in its place, with a receiver; and notifications that
    wait on the disk, or were not understood.
    """
    office = ozeki_house(deploy, simulators)
    _, found = examined(office.house)
    assert "does not answer from here" in found["warning", "hooks"]
    office.hooks()
    folder = office.house.spool / "hooks"
    _, found = examined(office.house)
    assert "the receiver answers at" in found["ok", "hooks"]
    assert "hooks" not in levels(found, "warning")
    for process in office.house.processes:
        process.stop()
    (folder / "a.json").write_text("{}")
    (folder / "b.unreadable").write_text("{")
    office.house.settings["HOOKS_URL"] = simulators.url
    _, found = examined(office.house)
    assert "something other than the receiver" in found["warning", "hooks"]
    assert f"1 notification in {folder} waits for the ledger" in found["warning", "hooks"]
    assert f"1 notification in {folder} could not be read" in found["warning", "hooks"]


@pytest.mark.parametrize(
    ("control", "level", "words"),
    [
        ("http", "warning", "not collected: without EARWITNESS_HOOKS_URL and"),
        ("ozml_extension", "error", "no recording can be started"),
    ],
)
def test_an_account_whose_server_is_not_heard_is_told(
    deploy: Deploy, simulators: Simulators, control: str, level: str, words: str
) -> None:
    """A control without the receiver's address or networks that may tell."""
    pbx = simulators.ozeki.account(control=control)
    fields = {**pbx.configuration(), "control": control}
    fields.pop("allowed_networks", None)
    house = deploy(account_toml("office", fields))
    _, found = examined(house)
    assert words in found[level, "account office"]


def test_a_redis_that_is_full_or_a_replica_is_told(
    deploy: Deploy, simulators: Simulators, valkey: Valkey
) -> None:
    """Both take no message, and each has its own way out."""
    house = deploy(account_toml("india", simulators.vonage.account().configuration()))
    with valkey.client() as admin:
        used = int(admin.info("memory")["used_memory"])
        admin.config_set("maxmemory", used + used // 10)
        _, found = examined(house)
        assert "of its memory is used" in found["warning", "redis"]
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        _, found = examined(house)
        assert "is a replica" in found["error", "redis"]


def test_a_ledger_that_may_forget_is_an_error(
    deploy: Deploy, simulators: Simulators, postgres: Postgres
) -> None:
    """PostgreSQL is asked by a connection like any other of ours, on which a commit waits for the
    disk whatever the role's default is; a database that can only be read is told.
    """
    with postgres.database() as url:
        toml = account_toml("india", simulators.vonage.account().configuration())
        house = deploy(toml, ledger_url=url)
        house.ledger.identity.prepare()
        assert house.ledger.database.durability() == {
            "synchronous_commit": "on",
            "fsync": "off",  # the tests' PostgreSQL outlives no loss of power
            "full_page_writes": "on",
            "transaction_read_only": "off",
        }
        name = make_url(url).database
        with house.ledger.database.engine.begin() as admin:
            for said in ("synchronous_commit = off", "default_transaction_read_only = on"):
                admin.exec_driver_sql(f"ALTER DATABASE {name} SET {said}")
        _, found = examined(house)
    assert "it is read-only" in found["error", "ledger"]
    assert "synchronous_commit" not in found["error", "ledger"]


def test_refused_credentials_are_told_by_account(deploy: Deploy, simulators: Simulators) -> None:
    """Each provider is asked one harmless thing with what the accounts file says; paid calls are
    not tried.
    """
    right, wrong = simulators.vonage.account(), simulators.vonage.account()
    paying, pbx = simulators.gsmblockchain.account(), simulators.ozeki.account(control="http")
    tables = {
        "right": right.configuration(),
        "wrong": {**wrong.configuration(), "password": "mistyped"},
        "paying": paying.configuration(),
        "office": {**pbx.configuration(), "control": "http"},
    }
    house = deploy("\n".join(account_toml(alias, table) for alias, table in tables.items()))
    house.ledger.identity.prepare()
    _, found = examined(house)
    assert "credentials are refused" in found["error", "account wrong"]
    assert "credentials are accepted" in found["ok", "account right"]
    assert "credentials are accepted" in found["ok", "account office"]
    assert "every request there is a paid call" in found["ok", "account paying"]
    assert paying.calls() == []
