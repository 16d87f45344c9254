"""The order of tests: long ones first, so that no process is left alone with one at the end, and
those that wait beside those that compute, so that no core is left idle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby

import pytest

File = list[pytest.Item]
_LONG = 2


def early_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put the tests in the order in which pytest-xdist's work stealing ends soonest.

    It first gives each process an equal run of tests, and then moves the last ones of a run to
    processes that have ended theirs. So each run gets its share of the files that take long, which
    come first, then of those that start processes, and is filled with small tests. Tests that start
    processes wait most of the time: small tests stand between them. Files stay whole.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = _files(items)
    runs: list[list[File]] = [[] for _ in range(processes)]
    for number, file in enumerate(sorted(filter(_weight, files), key=_weight, reverse=True)):
        runs[number % processes].append(file)
    small = [test for file in files if not _weight(file) for test in file]
    share = -(-len(items) // processes)
    ordered: list[pytest.Item] = []
    for run in runs:
        wanted = max(share - sum(map(len, run)), 0)
        ordered += _mixed(run, small[:wanted])
        del small[:wanted]
    return [*ordered, *small]


def _files(items: Sequence[pytest.Item]) -> list[File]:
    return [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]


def _mixed(run: Sequence[File], small: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """The long files of a run, then its others, each with its share of the small ones after it."""
    others = sum(_weight(file) != _LONG for file in run)
    begun = given = 0
    waiting = _files(small)
    for file in run:
        yield from file
        begun += _weight(file) != _LONG
        while waiting and begun and given * others < len(small) * begun:
            given += len(waiting[0])
            yield from waiting.pop(0)
    for rest in waiting:
        yield from rest


def _weight(file: Sequence[pytest.Item]) -> int:
    """2 where a file is marked as long, 1 where its tests start processes, otherwise 0."""
    if any(test.get_closest_marker("long") for test in file):
        return _LONG
    return int(any("one_valkey" in getattr(test, "fixturenames", ()) for test in file))
