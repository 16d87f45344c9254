"""Our folders' names are plain words: nothing that is installed may use one of them."""

from __future__ import annotations

from importlib.metadata import packages_distributions

import pytest

from config.settings import ROOT


@pytest.mark.parametrize(
    "name", ["config", "providers", "archive", "ledger", "tasks", "worker", "demo", "tests"]
)
def test_nothing_installed_is_called_like_us(name: str) -> None:
    """No installed package has a top-level name of ours: it could be imported in our place."""
    assert name not in packages_distributions()


def test_no_test_folder_is_called_like_a_top_level_one() -> None:
    """A folder below tests/ with the name of one of ours could be imported in its place."""
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    below = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}

    assert not ours & below
