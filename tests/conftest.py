"""What every test starts from: no setting of the machine, and no proxy of it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from config.settings import settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test says all of its settings itself, and nothing goes through a proxy."""
    for name in list(os.environ):
        if name.upper().startswith("EARWITNESS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    settings.cache_clear()
    yield
    settings.cache_clear()
