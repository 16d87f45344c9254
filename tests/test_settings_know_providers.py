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
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _path(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    found = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in found if path.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    assert path is not None
    return ast.parse(path.read_text(encoding="utf-8"))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module or function, without the bodies of functions inside."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, _FUNCTIONS):
            yield from _own(node)


@cache
def _imported(module: str, scope: ast.AST) -> set[str]:
    """Our modules that a scope of the module imports."""
    path = _path(module)
    is_package = path is not None and path.name == "__init__.py"
    named: set[str] = set()
    for node in _own(scope):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: len(module.split(".")) - node.level + is_package]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            named |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {one for one in named if one.split(".")[0] in FOLDERS and _path(one)}


def _loaded(modules: set[str]) -> set[str]:
    """Everything of ours that is loaded with these modules."""
    found, waiting = {*modules}, [*modules]
    while waiting:
        module = waiting.pop()
        for one in _imported(module, _tree(module)) - found:
            found.add(one)
            waiting.append(one)
    return found


@cache
def _readers(module: str) -> tuple[ast.AST, ...]:
    """The scopes of a module, itself and its functions, that call `settings`."""
    tree = _tree(module)
    scopes = (tree, *(one for one in ast.walk(tree) if isinstance(one, _FUNCTIONS)))
    return tuple(one for one in scopes if any(map(_is_reading, _own(one))))


def _is_reading(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Name) and called.id == "settings"


def _reads(entrance: str) -> Iterator[tuple[str, ast.AST]]:
    for module in _loaded({entrance}):
        if not module.startswith("config"):
            yield from ((module, scope) for scope in _readers(module))


#: The modules that processes begin with.
ENTRANCES = {
    "worker.app",
    *(resolve_name(name, "worker.commands") for name, _ in COMMANDS.values()),
}


@pytest.mark.parametrize("entrance", sorted(ENTRANCES))
def test_a_process_that_reads_the_settings_knows_the_providers(entrance: str) -> None:
    """Else it would refuse every account, and not start."""
    loaded = _loaded({entrance})
    for module, scope in _reads(entrance):
        assert "providers.registry" in loaded | _loaded(_imported(module, scope)), module


def test_the_entrances_read_the_settings() -> None:
    """The walk through the imports finds it: else nothing would be tried above."""
    assert len([one for one in ENTRANCES if any(_reads(one))]) > 10
