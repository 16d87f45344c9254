"""Settings name accounts of providers: what reads them must have loaded the registry before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

import pytest

from config.settings import ROOT
from worker.commands.cli import COMMANDS

FOLDERS = ("config", "providers", "archive", "ledger", "tasks", "worker", "demo")
#: Alembic runs these by their path, in a process that has read the settings.
NOT_IMPORTED = ("ledger", "migrations")


def _modules() -> Iterator[str]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[:2] != NOT_IMPORTED:
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _path(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    found = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in found if path.is_file()), None)


@cache
def _imported(module: str) -> frozenset[str]:
    """Our modules that a module imports itself, wherever in it."""
    path = _path(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            named |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(one for one in named if one.split(".")[0] in FOLDERS and _path(one))


def _loaded(module: str) -> set[str]:
    """Everything of ours that is loaded with a module."""
    found, waiting = {module}, [module]
    while waiting:
        for one in _imported(waiting.pop()) - found:
            found.add(one)
            waiting.append(one)
    return found


def _calls_settings(module: str) -> bool:
    path = _path(module)
    assert path is not None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(isinstance(one, ast.Name) and one.id == "settings" for one in calls)


READERS = {one for one in _modules() if not one.startswith("config") and _calls_settings(one)}
#: The modules that processes begin with.
ENTRANCES = {
    "worker.app",
    *(resolve_name(name, "worker.commands") for name, _ in COMMANDS.values()),
}


@pytest.mark.parametrize("module", sorted(ENTRANCES))
def test_a_process_that_reads_the_settings_knows_the_providers(module: str) -> None:
    """Else it would refuse every account, and not start."""
    loaded = _loaded(module)
    assert "providers.registry" in loaded or not loaded & READERS


def test_the_entrances_read_the_settings() -> None:
    """The walk through the imports finds them: else nothing would be tried above."""
    assert len([one for one in ENTRANCES if _loaded(one) & READERS]) > 10
