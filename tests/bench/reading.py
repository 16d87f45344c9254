"""``verify`` and ``find`` over archives, against programs that only read them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from archive.store.directory import DirectoryStore
from tests.deployment import ROOT, machine

from .made import last_id, many, mixed
from .measurement import Row, Turn, in_turns, timed
from .sizes import Sizes

_UNZIP = "unzip -tqq" if shutil.which("unzip") else f'"{sys.executable}" -m zipfile -t'
_SUMS = (
    'cd "$0" && find . -type f -print0 | xargs -0 sha256sum && '
    f'find . -name "*.zip" | while read -r path; do {_UNZIP} "$path" >&2; done'
)
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
_VERIFIED = "the chain, each line against its manifest and member, SHA-256 of each member"
_BY_NUMBER = "both numbers of each line, generations of a day; starting with our imports"
_BY_ID = "lines without the id are not even parsed; starting with our imports"


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
    """``verify`` of a mixed archive; sha256sum of its files and a test of its ZIPs."""
    store = mixed(folder, sizes)
    ours: Command = [sys.executable, "-m", "worker", "verify", store.root]
    peer: Command = ["sh", "-c", _SUMS, store.root]
    found = run(*ours, "--json")
    files = int(json.loads(found.stdout)["files"])
    summed = len(run(*peer).stdout.splitlines())
    there = sum(path.is_file() for path in store.root.rglob("*"))
    assert files == summed == there, (files, summed, there)
    seconds = in_turns(sizes.times, ours=_turn(ours), peer=_turn(peer))
    what = f"verify: {sizes.singles} recordings, {sizes.zips} ZIPs of {sizes.zip_bytes / 1e6:g} MB"
    than = "sha256sum, unzip -t" if "unzip" in _UNZIP else "sha256sum, zipfile"
    counted = {"files": files, "peer_files": summed}
    yield Row(what, seconds["ours"], seconds["peer"], than, _VERIFIED, counted)


def find(folder: Path, sizes: Sizes) -> Iterator[Row]:
    """``find`` by number and by id; a program that parses the same manifests and no more."""
    store = many(folder, sizes)
    last = last_id(sizes)
    asked = {"number": ("--number", f"{last:04}"), "id": ("--recording", str(last))}
    ours = {name: _find(store, *told) for name, told in asked.items()}
    peer: Command = [sys.executable, "-c", _PARSE, store.root]
    lines = int(run(*peer).stdout)
    assert lines == sizes.days * sizes.recordings_a_day, lines
    hits = {name: len(json.loads(run(*one, "--json").stdout)) for name, one in ours.items()}
    assert set(hits.values()) == {1}, hits
    turns = {name: _turn(one) for name, one in ours.items()}
    seconds = in_turns(sizes.times, **turns, peer=_turn(peer))
    counted = {"lines": lines, "hits": sum(hits.values())}
    for name, why in (("number", _BY_NUMBER), ("id", _BY_ID)):
        what = f"find by {name} among {lines} recordings"
        yield Row(what, seconds[name], seconds["peer"], "json.loads of them", why, counted)


def _find(store: DirectoryStore, option: str, value: str) -> Command:
    return [sys.executable, "-m", "worker", "find", "--archive", store.root, option, value]


def _turn(command: Command) -> Turn:
    return partial(timed, partial(run, *command))
