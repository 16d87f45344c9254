"""``verify`` and ``find`` over archives, against programs that only read them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from archive.store.directory import DirectoryStore
from tests.deployment import ROOT, machine

from . import counting
from .made import last_id, many, mixed
from .measurement import Goal, Row, Samples, in_turns, timed
from .sizes import Sizes

#: On so many cores ($1), of the folder ($0).
_SUMS = (
    'cd "$0" && find . -type f -print0 | xargs -0 -n 64 -P "$1" sha256sum && '
    'find . -name "*.zip" -print0 | xargs -0 -r -n 1 -P "$1" unzip -tqq >&2'
)
_GOAL = Goal("ratio", 1.2)
_PARSE = """
import json, pathlib, sys
lines = 0
for path in pathlib.Path(sys.argv[1]).rglob("manifest.json"):
    json.loads(path.read_bytes())
    with path.with_name("recordings.jsonl").open("rb") as file:
        for line in file:
            json.loads(line)
            lines += 1
print(lines)
"""
#: A program and its arguments.
Command = list[str | Path]


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, from the project's folder, with no setting of ours."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=machine(),
        capture_output=True,
        check=True,
    )


def verify(folder: Path, sizes: Sizes) -> Iterator[Row]:
    """``verify`` of a mixed archive; sha256sum of its files and a test of its ZIPs, by as many
    processes as ``verify`` keeps cores busy.
    """
    what = f"verify {sizes.singles} recordings, {sizes.zips} ZIPs of {sizes.zip_bytes / 1e6:g} MB"
    than = "sha256sum, unzip -t"
    if shutil.which("unzip") is None:
        yield Row("verify", what, than=than, goal=_GOAL, not_measured="not installed: unzip")
        return
    store = mixed(folder, sizes)
    ours: Command = [sys.executable, "-m", "worker", "verify", store.root]
    cores, found = _cores(ours)
    peer: Command = ["sh", "-c", _SUMS, store.root, str(cores)]
    counts = {
        "files": int(json.loads(found.stdout)["files"]),
        "summed files": len(run(*peer).stdout.splitlines()),
    }
    there = sum(path.is_file() for path in store.root.rglob("*"))
    counted = counting.compare("verify", counts, dict.fromkeys(counts, there))
    seconds = _seconds(sizes, {"ours": ours, "peer": peer})
    than += f" on {cores} core{'s' if cores > 1 else ''}"
    yield Row("verify", what, "s", seconds["ours"], seconds["peer"], than, _GOAL, counted)


def find(folder: Path, sizes: Sizes) -> Iterator[Row]:
    """``find`` by number and by id; a program that parses the same manifests and no more."""
    store = many(folder, sizes)
    last = last_id(sizes)
    asked = {"number": ("--number", f"{last:04}"), "id": ("--recording", str(last))}
    ours = {name: _find(store, *given) for name, given in asked.items()}
    peer: Command = [sys.executable, "-c", _PARSE, store.root]
    hits = {name: len(json.loads(run(*one, "--json").stdout)) for name, one in ours.items()}
    found = {"lines": int(run(*peer).stdout), **{f"hits by {n}": hit for n, hit in hits.items()}}
    lines = sizes.days * sizes.recordings_a_day
    wanted = {"lines": lines, "hits by number": 1, "hits by id": 1}
    counted = counting.compare("find", found, wanted)
    seconds = _seconds(sizes, {**ours, "peer": peer})
    for name in ours:
        what = f"find by {name} among {lines} recordings"
        than = "json.loads of them"
        yield Row("find", what, "s", seconds[name], seconds["peer"], than, counted=counted)


def _cores(command: Command) -> tuple[int, subprocess.CompletedProcess[bytes]]:
    """Return how many cores a command keeps busy, at least one, and what its JSON says."""
    before, began = os.times(), time.perf_counter()
    done = run(*command, "--json")
    seconds, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return max(1, min(os.cpu_count() or 1, round(used / seconds))), done


def _seconds(sizes: Sizes, commands: dict[str, Command]) -> dict[str, Samples]:
    turns: dict[str, Callable[[], float]] = {
        name: partial(timed, partial(run, *one)) for name, one in commands.items()
    }
    return {name: Samples.of(taken) for name, taken in in_turns(sizes.times, turns).items()}


def _find(store: DirectoryStore, option: str, value: str) -> Command:
    return [sys.executable, "-m", "worker", "find", "--archive", store.root, option, value]
