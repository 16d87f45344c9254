"""The example at the end of each command's help, typed as it is."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import pytest

from ledger.call_outcomes import UNKNOWN, Outcome
from ledger.core import states
from ledger.daily_quota import Cap
from worker.commands.cli import COMMANDS, earwitness
from worker.commands.examples import EXAMPLES

from . import forked
from .deployment import ROOT, Deployment, Process, account_toml
from .ledgers import request, running
from .servers import free_port
from .simulators import Simulators
from .simulators.doors import AccountDoor
from .simulators.voipnow_door import AppDoor
from .waiting import eventually

pytestmark = pytest.mark.long

DAYS = (date(2026, 11, 20), date(2026, 11, 21))
ZONE = "Asia/Kolkata"
CAP = Cap(100, "Europe/Madrid")
#: What ends with another status than zero here: a call needs a decision, and days around those
#: that are exported are not complete.
STATUSES = {"alerts": 1, "coverage": 1}


def commands() -> list[str]:
    """Every command by its name, with the names of the groups that it is in."""
    found: list[str] = []
    context = click.Context(earwitness)

    def add(command: click.Command, name: str) -> None:
        if not isinstance(command, click.Group) or command.invoke_without_command:
            found.append(name)
        if isinstance(command, click.Group):
            for below, one in command.commands.items():
                add(one, f"{name} {below}")

    for name in COMMANDS:
        command = earwitness.get_command(context, name)
        assert command is not None
        add(command, name)
    return found


def test_every_command_has_an_example_and_no_example_is_of_none() -> None:
    """The table of examples is that of the commands, and each help ends with its own."""
    assert sorted(EXAMPLES) == sorted(commands())
    for name, example in EXAMPLES.items():
        assert example.split(" > ")[0].startswith(f"earwitness {name}"), name


#: Files and folders that examples name.
FILES = ("november.html", "case-17", "backup-2026-11-30")


@pytest.fixture
def named(india: AccountDoor, pbx: AppDoor) -> dict[str, str]:
    """What the examples' ids are called here."""
    seeded = [one for day in DAYS for one in india.seed(day, ZONE, 2)]
    call = pbx.begin_call(other="15551234567")
    return {"193238": str(seeded[0]["id"]), "CALL": call["id"]}


@pytest.fixture
def india(simulators: Simulators) -> AccountDoor:
    """The account whose recordings are exported."""
    return simulators.vonage.account()


@pytest.fixture
def pbx(simulators: Simulators) -> AppDoor:
    """The account whose calls are recorded."""
    return simulators.voipnow.account()


@pytest.fixture
def house(
    deploy: Callable[..., Deployment], simulators: Simulators, india: AccountDoor, pbx: AppDoor
) -> Deployment:
    """A deployment with the accounts that the examples name."""
    legal = simulators.gsmblockchain.account().configuration()
    company = {"company_name": "MyCompany", "company_id": "A4562154"}
    recordings = {**india.configuration(), "allow_delete": True}
    accounts = [
        account_toml("india", recordings, {"timezone": ZONE}),
        account_toml("legal_es", {**legal, **company}),
        account_toml("pbx", pbx.configuration()),
    ]
    return deploy("\n".join(accounts), settings={"HOOKS_BIND": f"127.0.0.1:{free_port()}"})


def undecided(house: Deployment, request_id: str) -> None:
    """A call of which nobody knows whether it was placed."""
    given = {"kind": "certified_call.request", "account": "legal_es"}
    _, lease = running(house.ledger, request_id, details=CAP, **given)
    house.ledger.calls.send(lease, CAP)
    unknown = Outcome(
        states.NEEDS_DECISION, UNKNOWN, "unknown", {"type": "Uncertain", "message": "unknown"}
    )
    house.ledger.calls.store_outcome(lease, unknown, own_task=None)


def until_stopped(house: Deployment, words: list[str]) -> None:
    """A command that runs until it gets SIGTERM."""
    command = [sys.executable, "-m", "worker", *words]
    process = Process(command, house.environment, house.folder / "hooks.log")
    try:
        eventually(lambda: "listening" in process.log(), what="the receiver does not listen")
        assert process.stop() == 0
    finally:
        process.close()


def rebuilt(house: Deployment, words: list[str]) -> None:
    """A new ledger out of the same archive."""
    anew = {"EARWITNESS_LEDGER_URL": f"sqlite:///{house.folder / 'anew.sqlite3'}"}
    done = forked.run("worker", words, {**house.environment, **anew}, ROOT, within=60)
    assert done.returncode == 0, done.stderr


def test_every_example_works(house: Deployment, named: dict[str, str], tmp_path: Path) -> None:
    """Each is typed in the order of the table, with ids and folders of this deployment. The demo's
    is typed by its own tests.
    """
    later = house.ledger.database.time() + 3600
    house.ledger.opening.open(request("import-17", due_at=later), by="test")
    undecided(house, "contract-4712")
    house.worker()
    wrong: dict[str, tuple[int, str, str]] = {}
    for name, example in EXAMPLES.items():
        typed, _, _ = example.partition(" > ")
        words = [named.get(word, word) for word in shlex.split(typed)[1:]]
        words = [str(tmp_path / word) if word in FILES else word for word in words]
        if name == "demo":
            continue
        if name == "hooks":
            until_stopped(house, words)
            continue
        if name == "rebuild":
            words_of_rebuild = words
            continue
        done = house.run(*words)
        if done.returncode != STATUSES.get(name, 0) or "Traceback" in done.stderr:
            wrong[name] = (done.returncode, done.stdout, done.stderr)
    assert wrong == {}
    rebuilt(house, words_of_rebuild)
    assert (tmp_path / "november.html").stat().st_size > 1000
    assert (tmp_path / "case-17" / "index.csv").read_text().count("\n") == 5
