"""Simulators that the tests of a file share, for files that import this fixture."""

from __future__ import annotations

import pytest

from .simulators import Simulators


@pytest.fixture(scope="module")
def simulators(simulators_of_module: Simulators) -> Simulators:
    """One entrance for all tests of a file, each with accounts of its own."""
    return simulators_of_module
