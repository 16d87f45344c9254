"""Providers: each does what its client inherits from, and a further one needs no other change."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from config.queues import DOWNLOADS
from config.settings import ROOT
from providers import registry
from providers.interface import (
    ListsRecordings,
    PlacesCertifiedCalls,
    StartsRecordings,
)

from . import provider_contract
from .deployment import account_toml, eventually
from .fifth_server import FifthServer
from .playgrounds import PLAYGROUNDS
from .provider_contract import ALIAS, Contract, House
from .recent_days import YESTERDAY, ZONE
from .servers import Valkey, free_port
from .simulators import Simulators
from .test_nights import planner

#: The modules of tests/ that bring a provider of their own.
FURTHER = {path.stem.removesuffix("_provider"): path for path in ROOT.glob("tests/*_provider.py")}
SOURCE = FURTHER["fifth"]

Open = Callable[[str], Contract]


@contextmanager
def registered(name: str) -> Iterator[str | None]:
    """Load the module that registers a provider, while it is tested; its name, None for ours."""
    if name not in FURTHER:
        yield None
        return
    module = f"tests.{FURTHER[name].stem}"
    sys.modules.pop(module, None)
    importlib.import_module(module)
    try:
        yield module
    finally:
        registry.unregister(name)


@pytest.fixture
def contract(tmp_path: Path, valkey: Valkey, simulators: Simulators) -> Iterator[Open]:
    """Opens a house with one account of a provider, and a worker in it."""
    with ExitStack() as stack:

        def opened(name: str) -> Contract:
            module = stack.enter_context(registered(name))
            play: Any
            if module is None:
                play = PLAYGROUNDS[name](simulators)
            else:
                server = importlib.import_module(module.removesuffix("provider") + "server")
                play = stack.enter_context(server.playground())
            house = _house(tmp_path, valkey, name, play, module)
            stack.callback(house.close)
            house.worker()
            caller = stack.enter_context(house.producer())
            url = f"http://{house.settings['METRICS_BIND']}"
            return Contract(name, house, play, caller, url)

        yield opened


def _house(folder: Path, valkey: Valkey, name: str, play: Any, module: str | None) -> House:
    provider = registry.providers()[name]
    nightly = {"timezone": ZONE, "catchup_days": 3} if provider.has(ListsRecordings) else None
    hooks = f"127.0.0.1:{free_port()}"
    settings = {"METRICS_BIND": f"127.0.0.1:{free_port()}", "HOOKS_BIND": hooks}
    settings["HOOKS_URL"] = f"http://{hooks}"
    accounts = account_toml(ALIAS, {**play.configuration(), "timeout_seconds": 10}, nightly)
    house = House(folder, valkey, accounts, settings=settings)
    house.module = module
    return house


@pytest.mark.parametrize("name", [*registry.providers(), *FURTHER])
def test_a_provider_keeps_the_contract(
    name: str, contract: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that its client inherits from works through tasks, commands, metrics and the
    archive, and every other task refuses its account.
    """
    under_test = contract(name)
    provider_contract.refuses(under_test)
    if under_test.has(ListsRecordings):
        day = YESTERDAY - timedelta(days=2)
        with planner(under_test.house, monkeypatch) as plan:
            provider_contract.archives(under_test, plan, day)
            provider_contract.everyone(under_test)
            provider_contract.rebuilds(under_test, day)
        return
    if under_test.has(StartsRecordings):
        _receiver(under_test)
    provider_contract.everyone(under_test)
    if under_test.has(StartsRecordings):
        provider_contract.records(under_test)
    if under_test.has(PlacesCertifiedCalls):
        provider_contract.places(under_test)


def _receiver(under_test: Contract) -> None:
    """The receiver of notifications, for a provider that has them."""
    if not under_test.has(provider_contract.CollectsRecordings):
        return
    process = under_test.house.hooks()
    eventually(lambda: "listening" in process.log() or not process.alive, what="no receiver")
    assert process.alive, process.log()


def test_a_killed_worker_s_single_files_are_not_fetched_again(
    contract: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night by single files takes a slot for transfers. It continues where a killed worker left
    it: each recording is fetched once, but for the one that was under way.
    """
    under_test = contract("fifth")
    house, play = under_test.house, under_test.play
    assert isinstance(play, FifthServer)
    day = YESTERDAY
    ids = play.seed(day, ZONE, 5)
    play.held[ids[2]].flows.clear()
    with planner(house, monkeypatch) as plan:
        plan(day)
        eventually(lambda: play.given[ids[2]] == 1, what="it came to no recording")
        house.processes[0].kill()
        play.held[ids[2]].flows.set()
        house.worker("second")
        _, job = under_test.day(day, "complete", 1)
    assert job.queue == DOWNLOADS
    assert [play.given[one] for one in ids] == [1, 1, 2, 1, 1]


def test_the_fifth_provider_is_one_short_module() -> None:
    """A provider, its account included, takes less than 150 lines, and no other file names it."""
    assert len(SOURCE.read_text().splitlines()) < 150
    found = [
        path
        for folder in ("config", "providers", "archive", "ledger", "tasks", "worker", "demo")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"['\"]fifth['\"]|Fifth|fifth_", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def _operations() -> list[str]:
    """The operations that the fifth provider's own client defines."""
    tree = ast.parse(SOURCE.read_text())
    (client,) = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "Fifth")
    defined = [one.name for one in client.body if isinstance(one, ast.FunctionDef)]
    return [name for name in defined if not name.startswith("_")]


def _load_without(operation: str) -> None:
    """Load the fifth provider's module as it is where an operation was taken out of its client."""
    tree = ast.parse(SOURCE.read_text())
    for client in tree.body:
        if isinstance(client, ast.ClassDef):
            client.body = [one for one in client.body if getattr(one, "name", "") != operation]
    module = sys.modules["tests.cut_provider"] = ModuleType("tests.cut_provider")
    try:
        exec(compile(tree, str(SOURCE), "exec"), module.__dict__)
    finally:
        del sys.modules["tests.cut_provider"]


@pytest.mark.parametrize("operation", _operations())
def test_a_provider_that_lacks_an_operation_is_refused(operation: str) -> None:
    """Taking any operation out is noticed when the provider registers, in a sentence that names
    provider, client, capability and operation.
    """
    names = set(registry.providers())
    with pytest.raises(
        TypeError, match=rf"provider fifth: its client Fifth lacks \w+\.{operation}\b"
    ):
        _load_without(operation)
    assert set(registry.providers()) == names


def test_every_operation_of_the_capability_is_the_provider_s_own() -> None:
    """The list above leaves out nothing that a provider of recordings has to write."""
    asked = {name for name, one in vars(ListsRecordings).items() if callable(one)}
    assert {name for name in asked if not name.startswith("_")} <= set(_operations())
    assert "probe" in _operations()
