"""docs/archive-format.md lets a stranger verify an archive: its own steps are run here, on archives
of every kind, whole ones and tampered ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archive.verify import verification

from .archive_kinds import KINDS, made
from .archive_tampering import ONE, TAMPERED, overwrite_or_make
from .archives import age
from .by_hand import COMMANDS, STEPS, needs_tools, run, step

pytestmark = needs_tools


def test_there_are_as_many_steps_as_the_page_counts() -> None:
    """Every numbered step has its command, and every question one of its own."""
    assert [title.partition(".")[0] for title in STEPS] == [str(n) for n in range(1, 9)]
    assert [title for title in COMMANDS if title not in STEPS] == [
        "A head that was kept",
        "One recording",
        "Recordings in no list",
        "Nothing is missing between two days",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_archive_of_any_kind_passes_in_silence(kind: str, tmp_path: Path) -> None:
    """Nothing is printed but the heads, and they are those that `verify` tells; nothing is written,
    and every recording is found with its sum.
    """
    store = made(kind, tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in store.root.rglob("*")}
    heads = verification.verify(store).heads
    printed = "".join(run(command, store.root) for command in STEPS.values())

    assert printed == "".join(f"head of {name}: {head}\n" for name, head in heads.items())
    assert {path: path.lstat().st_mtime_ns for path in store.root.rglob("*")} == before


@pytest.mark.parametrize("what", TAMPERED)
def test_every_tampering_is_printed_by_the_step_that_claims_so(what: str, tmp_path: Path) -> None:
    """And `verify` finds it too, once the files are no longer young. Whole, an archive of each kind
    passes in silence, as above.
    """
    assert TAMPERED[what][0] in KINDS
    kind, change, number, named = TAMPERED[what]
    store = made(kind, tmp_path)
    change(store)

    assert named in step(number, store.root)
    age(store)
    report = verification.verify(store)
    assert report.problems or "is not a file of an archive" in str(report.notes)


@pytest.mark.parametrize("forged", [f"{ONE}/manifest.json", "india/recordings/2026/11/20/7.json"])
def test_what_is_forged_is_not_read(forged: str, tmp_path: Path) -> None:
    """A manifest, a list or metadata that no chain covers is printed by step 3, and no other step
    or question goes by it.
    """
    store = made("exports_only" if forged.endswith("/7.json") else "downloads_only", tmp_path)
    about = {"kind": "export", "parts": [], "files": [], "recordings": {"path": "x"}, "listed": 9}
    single = {"recording_id": "102", "path": "/etc/passwd", "bytes": 1, "sha256": "a" * 64}
    overwrite_or_make(store, forged, json.dumps({**about, **single}).encode())
    lie = {"id": "102", "path": "/etc/passwd", "bytes": 1, "sha256": "a" * 64}
    if forged.endswith("manifest.json"):
        overwrite_or_make(store, f"{ONE}/recordings.jsonl", json.dumps(lie).encode() + b"\n")

    assert forged in step(3, store.root).splitlines()
    assert "".join(step(number, store.root) for number in (1, 2, 4, 5, 6, 7, 8)) == ""
    assert "/etc/passwd" not in run(COMMANDS["One recording"], store.root)
