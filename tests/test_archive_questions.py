"""docs/archive-format.md answers what a person asks: its own commands are run here."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from archive import chain, paths
from archive.store.directory import DirectoryStore

from .archive_kinds import made, rechain, reseal
from .archives import DAY, Builder, overwrite, recording
from .by_hand import COMMANDS, needs_tools, run, step

pytestmark = needs_tools


def test_an_older_head_that_was_kept_still_speaks(tmp_path: Path) -> None:
    """It is found in a chain that has grown, and missed in one that was cut back or rewritten."""
    store = made("calls_only", tmp_path)
    question = COMMANDS["A head that was kept"]
    kept = chain.head(store, "legal_es")
    assert kept is not None

    def asked() -> str:
        return run(question, store.root, account="legal_es", head=kept.sha256)

    assert asked() == ""
    Builder(tmp_path).receipt("legal_es", "call-9")
    assert asked() == ""
    for number in (3, 4):
        (store.root / paths.chain_path("legal_es", number)).unlink()
    assert kept.sha256 in asked()
    overwrite(store, "legal_es/certified-calls/2026/11/call-0.json", b'{"schema": 1}')
    rechain(store, "legal_es")
    assert [step(number, store.root) for number in range(1, 9)] == [""] * 8
    assert kept.sha256 in asked()
    shutil.rmtree(store.root / "legal_es")
    assert kept.sha256 in asked()


@pytest.mark.parametrize(
    ("kind", "recording_id", "place"),
    [
        ("mixed", "102", "a/730048.102.mp3"),
        ("mixed", "104", "730048.104.mp3"),
        ("mixed", "105", "recordings/2026/11/20/105.mp3"),
        ("mixed", "301", "recordings/2026/11/20/301.mp3"),
        ("downloads_only", "102", "recordings/2026/11/20/102.mp3"),
        ("exports_with_singles", "102", "recordings/2026/11/20/102.mp3"),
        ("generations", "101", "730048.101.mp3"),
        ("generations", "104", "recordings/2026/11/20/104.mp3"),
        ("ozeki", "82e23c38-0000-5000-8000-000000000002", "000002.wav"),
        ("strange_names", "2", "line"),
        ("strange_names", "1", "tab"),
        ("strange_names", "4", "slash"),
    ],
)
def test_one_recording_is_found_by_the_page(
    kind: str, recording_id: str, place: str, tmp_path: Path
) -> None:
    """The listed sum, and the same of the bytes, wherever the recording lies."""
    store = made(kind, tmp_path)
    printed = run(COMMANDS["One recording"], store.root, id=recording_id)

    listed, found = re.findall(r"^[0-9a-f]{64}", printed, re.MULTILINE)
    assert listed == found
    assert place in printed


def test_no_other_recording_is_found(tmp_path: Path) -> None:
    """One that is missing, and one that nobody listed."""
    store = made("mixed", tmp_path)
    for recording_id in ("901", "10", "nobody"):
        assert run(COMMANDS["One recording"], store.root, id=recording_id) == ""


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("mixed", ["301"]),
        ("downloads_only", ["102", "103"]),
        ("exports_with_singles", []),
        ("ozeki", [f"82e23c38-0000-5000-8000-{n:012}" for n in range(1, 14)]),
        ("calls_only", []),
        ("empty", []),
    ],
)
def test_recordings_in_no_list_are_found(kind: str, ids: list[str], tmp_path: Path) -> None:
    """Those that were fetched by themselves, with start and path."""
    printed = run(COMMANDS["Recordings in no list"], made(kind, tmp_path).root)

    assert [line.split()[0] for line in printed.splitlines()] == ids


def _days(store: DirectoryStore, first: str, last: str, account: str = "india") -> str:
    question = COMMANDS["Nothing is missing between two days"]
    return run(question, store.root, account=account, first=first, last=last)


def test_nothing_is_missing_between_two_days(tmp_path: Path) -> None:
    """The highest generation speaks, days without a manifest are named, and so is another account's
    lack of any.
    """
    store = made("generations", tmp_path)

    assert _days(store, "2026-11-20", "2026-11-21") == ""
    assert _days(store, "2026-11-21", "2026-11-21") == ""
    assert _days(store, "2026-11-19", "2026-11-22") == (
        "2026-11-19: has no manifest\n2026-11-22: has no manifest\n"
    )
    assert _days(store, "2026-11-20", "2026-11-20", "legal_es").count("has no manifest") == 1
    Builder(tmp_path).export("india", "eeee", [recording(902)], {}, generation=11)
    assert "2026-11-20: is not complete, 1 of 1" in _days(store, "2026-11-20", "2026-11-20")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": {"start": "2026-11-20T19:30:00Z", "end": "2026-11-21T18:30:00Z"}}, "begins at"),
        ({"filters": {"call_direction": "OUTBOUND"}}, "other filters"),
        ({"complete": False}, "not complete"),
    ],
)
def test_what_lies_between_two_days_is_named(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """An hour that belongs to neither day, other filters, a day that is not complete."""
    store = made("generations", tmp_path)
    path = paths.manifest_path(paths.export_folder("india", DAY.replace(day=21), "dddd"))
    reseal(store, path, lambda content, _: content.update(change))

    assert said in _days(store, "2026-11-20", "2026-11-21")
    assert _days(store, "2026-11-20", "2026-11-20") == ""
