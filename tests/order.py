"""The order of tests: long ones first, so that no process is left alone with one at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby

import pytest


def early_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put the tests in the order in which pytest-xdist's work stealing ends soonest.

    It first gives each process an equal run of tests, and then moves the last ones of a run to
    processes that have ended theirs. So each run gets its share of the files that take long, then
    of those that start processes, and is filled with small tests. Files stay whole.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    runs: list[list[pytest.Item]] = [[] for _ in range(processes)]
    for number, file in enumerate(sorted(filter(_weight, files), key=_weight, reverse=True)):
        runs[number % processes] += file
    small = [test for file in files if not _weight(file) for test in file]
    share = -(-len(items) // processes)
    for run in runs:
        wanted = max(share - len(run), 0)
        run.extend(small[:wanted])
        del small[:wanted]
    return [test for run in [*runs, small] for test in run]


def _weight(file: Sequence[pytest.Item]) -> int:
    """2 where a file is marked as long, 1 where its tests start processes, otherwise 0."""
    if any(test.get_closest_marker("long") for test in file):
        return 2
    return int(any("one_valkey" in getattr(test, "fixturenames", ()) for test in file))
