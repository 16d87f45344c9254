"""The architecture: arrows between the folders point down only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import ROOT

#: What each folder may import of ours.
BELOW = {
    "config": set(),
    "providers": {"config"},
    "archive": {"config"},
    "ledger": {"config"},
    "tasks": {"config", "providers", "archive", "ledger"},
    "worker": {"config", "providers", "archive", "ledger", "tasks"},
}
KNOWS_NO_CELERY = {"providers", "archive", "ledger"}
CELERY = {"celery", "kombu", "billiard", "flower"}
OURS = {*BELOW, "tests"}
#: Alembic runs these by their path, so that they have no home to be relative to.
MIGRATIONS = ("ledger", "migrations")


def _modules() -> list[Path]:
    return sorted(
        path.relative_to(ROOT) for folder in BELOW for path in (ROOT / folder).rglob("*.py")
    )


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Level (0: absolute) and first name of every import in the file, nested ones included."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", _modules(), ids=str)
def test_arrows_point_down(path: Path) -> None:
    """No folder imports one above it or beside it, and none imports the tests."""
    folder = path.parts[0]
    arrows = {name for level, name in _imports(path) if level == 0 and name in OURS}

    assert arrows - {folder} <= BELOW[folder]


@pytest.mark.parametrize("path", _modules(), ids=str)
def test_a_dot_means_at_home(path: Path) -> None:
    """Imports are relative inside a folder and absolute between folders."""
    folder = path.parts[0]

    for level, name in _imports(path):
        is_far = level == 0 and name == folder and path.parts[:2] != MIGRATIONS
        assert not is_far, "import it relatively"
        assert level < len(path.parts), "import it absolutely"


@pytest.mark.parametrize("path", _modules(), ids=str)
def test_only_tasks_and_worker_know_celery(path: Path) -> None:
    """Clients, archive and ledger can be used without Celery."""
    if path.parts[0] in KNOWS_NO_CELERY:
        assert not {name for _, name in _imports(path)} & CELERY


def test_every_folder_is_judged() -> None:
    """A new folder with code has to be given its place in this file."""
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert folders <= OURS
