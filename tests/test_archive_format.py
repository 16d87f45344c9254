"""docs/archive-format.md lets a stranger verify an archive: its own commands are run here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from archive.store import DirectoryStore
from archive.verification import verify
from config.settings import ROOT

from .archives import full_archive

PAGE = (ROOT / "docs/archive-format.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\*\*(.+?)\.\*\*.*?^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STEPS = {title: command for title, command in COMMANDS if title[0].isdigit()}
HAS_TOOLS = all(shutil.which(tool) for tool in ("jq", "unzip", "sha256sum"))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """An archive with a file of every kind."""
    return full_archive(tmp_path)


def said(store: DirectoryStore) -> str:
    """What all steps print together: those of the page, or the same by hand without the tools."""
    if HAS_TOOLS:
        return "".join(run(command, store.root) for command in STEPS.values())
    return by_hand(store.root)


def run(command: str, root: Path) -> str:
    """What a command of the page prints, errors included."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def by_hand(root: Path) -> str:
    """Steps 1 to 5 with a JSON reader in place of jq: heads, and every sum through sha256sum."""
    out: list[str] = []
    covered: dict[str, str] = {}
    sums: set[tuple[str, str]] = set()
    for folder in sorted(root.glob("*/chain")):
        previous = "0" * 64
        for number, path in enumerate(sorted(folder.iterdir()), 1):
            entry = json.loads(path.read_bytes())
            covered |= {one["path"]: one["sha256"] for one in entry["entries"]}
            if (entry["n"], entry["previous"], path.stem) != (number, previous, f"{number:08}"):
                out.append(f"{path.relative_to(root)}: does not continue the entry before it\n")
            previous = summed(root, [path])[0][:64]
        out.append(f"head of {folder.parent.name}: {previous}\n")
    for path in root.glob("*/exports/*/*/*/*/manifest.json"):
        manifest = json.loads(path.read_bytes())
        named = [*manifest["parts"], *manifest["files"], manifest["recordings"]]
        sums |= {(one["path"], one["sha256"]) for one in named}
    for path in root.glob("*/recordings/**/*.json"):
        metadata = json.loads(path.read_bytes())
        sums.add((metadata["path"], metadata["sha256"]))
    for name, sha256 in sorted(sums | set(covered.items())):
        if not (root / name).is_file() or summed(root, [root / name])[0][:64] != sha256:
            out.append(f"{name}: FAILED\n")
    chained = ("exports/**/*.json", "recordings/**/*.json", "certified-calls/**/*.json")
    there = [root / "ledger.json", *(path for kind in chained for path in root.glob(f"*/{kind}"))]
    names = [str(path.relative_to(root)) for path in there]
    return "".join([*out, *(f"{name}\n" for name in names if name not in covered)])


def summed(root: Path, paths: Iterable[Path]) -> list[str]:
    """What sha256sum prints."""
    done = subprocess.run(
        ["sha256sum", *paths], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_there_are_as_many_steps_as_the_page_counts() -> None:
    """Every numbered step has its command."""
    assert [title.partition(".")[0] for title in STEPS] == [str(n) for n in range(1, 9)]


def test_a_whole_archive_passes_in_silence(store: DirectoryStore) -> None:
    """Nothing is printed but the heads, and they are those that `verify` tells."""
    heads = verify(store).heads

    assert said(store) == "".join(f"head of {name}: {head}\n" for name, head in heads.items())


@pytest.mark.parametrize(
    "path",
    [
        "ledger.json",
        "legal_es/chain/00000002.json",
        "legal_es/certified-calls/2026/11/call-1.json",
        "india/exports/2026/11/20/1111-one/manifest.json",
        "india/exports/2026/11/20/1111-one/recordings.jsonl",
        "india/exports/2026/11/20/1111-one/p-1.*.zip",
        "india/recordings/2026/11/20/105.json",
        "india/recordings/2026/11/20/301.mp3",
    ],
)
@pytest.mark.parametrize("how", ["changed", "deleted"])
def test_damage_is_printed(store: DirectoryStore, path: str, how: str) -> None:
    """A file of any kind that was changed or deleted is named by the page's commands."""
    (target,) = store.root.glob(path)
    data = target.read_bytes()
    target.unlink()
    if how == "changed":
        at = data.rfind(b"1")
        target.write_bytes(data[:at] + b"2" + data[at + 1 :])

    named = str(target.relative_to(store.root))
    if path.endswith("00000002.json"):
        named = "legal_es/chain/00000003.json"  # the one after it tells
    assert named in said(store)


def test_what_no_chain_covers_is_printed(store: DirectoryStore) -> None:
    """A receipt that somebody put there is named."""
    forged = "legal_es/certified-calls/2026/11/forged.json"
    store.create(forged, b'{"schema": 1}')

    assert said(store).splitlines().count(forged) == 1


@pytest.mark.parametrize(
    ("step", "change"),
    [
        ("6", ('"member": "a/730048.101.mp3"', '"member": "a/730048.102.mp3"')),
        ("6", ('recordings/2026/11/20/105.mp3"', 'recordings/2026/11/20/106.mp3"')),
        ("7", ('"path": ', '"missing": true, "path": ')),
    ],
)
def test_a_list_that_contradicts_is_printed(
    store: DirectoryStore, step: str, change: tuple[str, str]
) -> None:
    """A place or a count that nothing else confirms is named, whatever the sums say."""
    target = store.root / "india/exports/2026/11/20/1111-one/recordings.jsonl"
    text = target.read_text()
    target.chmod(0o644)
    target.write_text(text.replace(*change, 1))
    command = next(command for title, command in STEPS.items() if title.startswith(step))

    assert text.count(change[0])
    assert run(command, store.root) if HAS_TOOLS else "recordings.jsonl" in said(store)


def test_a_member_that_differs_is_printed(store: DirectoryStore) -> None:
    """Step 8 unpacks what the manifest names, strange characters included."""
    target = store.root / "india/exports/2026/11/20/1111-one/manifest.json"
    manifest = json.loads(target.read_bytes())
    manifest["parts"][0]["members"][1]["sha256"] = "a" * 64
    target.chmod(0o644)
    target.write_text(json.dumps(manifest))
    command = next(command for title, command in STEPS.items() if title.startswith("8"))

    if HAS_TOOLS:
        assert "a/730048.101.mp3 is not" in run(command, store.root)
    assert str(target.relative_to(store.root)) in said(store)


def test_one_recording_is_found_by_the_page(store: DirectoryStore) -> None:
    """The last command gives the listed sum, and the same of the bytes."""
    (command,) = [command for title, command in COMMANDS if title == "One recording"]
    if not HAS_TOOLS:
        assert "unzip -p" in command
        return
    listed, found = run(command, store.root).splitlines()

    assert listed[:64] == found[:64]
    assert "a/730048.102.mp3" in listed
