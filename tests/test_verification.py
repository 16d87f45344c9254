"""Verification finds whatever was changed in an archive, and names it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from archive import chain
from archive import paths as archive_paths
from archive.audio.detection import ENDINGS
from archive.documents.chain_entry import Covered
from archive.store.directory import DirectoryStore, Store
from archive.verify import verification
from archive.verify.verification import Problem, Report
from config.settings import ROOT

from .archives import DAY, Builder, age, audio, fill, full_archive, overwrite, recording, zipped

FLIPS_A_FILE = 8


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    """An archive with a file of every kind. Who changes it changes it back."""
    return full_archive(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def either(new_store: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same in a directory and in a bucket, to be read only."""
    folder = tmp_path_factory.mktemp("either")
    return fill(Builder(folder, new_store(folder)))


@pytest.fixture
def copied(whole: DirectoryStore, tmp_path: Path) -> DirectoryStore:
    """A copy of it that may be changed for good."""
    shutil.copytree(whole.root, tmp_path / "copy")
    return DirectoryStore(tmp_path / "copy")


@pytest.fixture
def builder(new_store: Callable[[Path], Store], tmp_path: Path) -> Builder:
    """An archive with its ledger's name and nothing else."""
    building = Builder(tmp_path, new_store(tmp_path))
    building.identity()
    return building


def named(report: Report) -> set[str]:
    """The files that problems were found with."""
    return {problem.path for problem in report.problems}


def newest(store: DirectoryStore) -> set[str]:
    """The newest entry of each chain: nothing in the archive has its sum."""
    heads = [chain.head(store, name) for name in ("india", "legal_es")]
    return {archive_paths.chain_path(head.account, head.n) for head in heads if head}


def test_a_whole_archive_has_no_problem(either: Store) -> None:
    """Every file was read, nothing is wrong, and something vouches for every one."""
    seen: dict[str, int] = {}
    report = verification.verify(either, on_file=seen.__setitem__)

    assert report.problems == report.notes == []
    assert list(seen) == list(either.paths())
    assert {archive_paths.kind_of(path) for path in seen} == {
        "identity",
        "entry",
        "manifest",
        "recordings",
        "zip",
        "metadata",
        "audio",
        "receipt",
    }
    assert (report.files, report.bytes) == (len(seen), sum(seen.values()))
    assert report.bytes == sum(either.size(path) for path in seen)
    heads = {name: chain.head(either, name) for name in ("india", "legal_es")}
    assert report.heads == {name: head.sha256 for name, head in heads.items() if head}
    assert verification.verify(either, heads=report.heads).problems == []


def test_a_flipped_bit_anywhere_is_found_and_named(whole: DirectoryStore) -> None:
    """In every file, at places spread over it: the file that was changed is named; given the heads,
    it is named alone, but for the newest entries.
    """
    places = random.Random(20261120)
    heads = verification.verify(whole).heads
    paths, tried = list(whole.paths()), 0
    for path in paths:
        data = whole.read(path)
        for _ in range(FLIPS_A_FILE):
            changed = bytearray(data)
            at = places.randrange(len(data))
            changed[at] ^= 1 << places.randrange(8)
            overwrite(whole, path, bytes(changed))
            alone = verification.verify(whole)
            report = verification.verify(whole, heads=heads)
            overwrite(whole, path, data)
            tried += 1

            assert path in named(alone), (path, at, alone.problems)
            assert path in named(report), (path, at, report.problems)
            assert path in newest(whole) or len(named(report)) == 1, (path, at, report.problems)
    assert tried >= 200
    assert verification.verify(whole).problems == []


def test_every_bit_of_a_newest_entry_counts(tmp_path: Path) -> None:
    """Nothing sums up the newest entry of a chain, and still no bit of it can change unseen."""
    builder = Builder(tmp_path)
    builder.identity()
    builder.receipt("legal_es", "call-1")
    path = archive_paths.chain_path("legal_es", 1)
    data = builder.store.read(path)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        overwrite(builder.store, path, bytes(changed))

        assert path in named(verification.verify(builder.store)), (at, bytes(changed))


@pytest.mark.parametrize("change", [(b"\n", b""), (b"{", b'{"n": 7,'), (b"}", b"} ")])
def test_a_newest_entry_is_written_in_one_way(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    """Other bytes that say the same (white space, a key twice) are a change as well."""
    builder = Builder(tmp_path)
    builder.identity()
    builder.receipt("legal_es", "call-1")
    path = archive_paths.chain_path("legal_es", 1)
    overwrite(builder.store, path, builder.store.read(path).replace(*change, 1))

    assert path in named(verification.verify(builder.store))


def test_a_deleted_file_is_found_and_named(whole: DirectoryStore) -> None:
    """Each file in turn, and no other one; the newest entry of a chain by the head that was noted
    elsewhere.
    """
    heads = verification.verify(whole).heads
    for path in list(whole.paths()):
        data = whole.read(path)
        (whole.root / path).unlink()
        report = verification.verify(whole, heads=heads)
        (whole.root / path).write_bytes(data)

        assert path in named(report), (path, report.problems)
        assert path in newest(whole) or len(named(report)) == 1, (path, report.problems)
    assert verification.verify(whole, heads=heads).problems == []


def test_two_files_that_changed_places_are_found_and_named(whole: DirectoryStore) -> None:
    """Any two files of one kind, accounts regardless; and no third one, unless an entry moved to a
    chain's end.
    """
    heads = verification.verify(whole).heads
    for one, other in combinations(list(whole.paths()), 2):
        if archive_paths.kind_of(one) != archive_paths.kind_of(other):
            continue
        kept = {path: whole.read(path) for path in (one, other)}
        overwrite(whole, one, kept[other])
        overwrite(whole, other, kept[one])
        report = verification.verify(whole, heads=heads)
        for path, data in kept.items():
            overwrite(whole, path, data)

        assert {one, other} <= named(report), (one, other, report.problems)
        assert {one, other} & newest(whole) or len(named(report)) == 2, (
            one,
            other,
            report.problems,
        )


def test_a_removed_tail_shows_by_the_head_alone(copied: DirectoryStore) -> None:
    """Newest entry and everything it covers gone: only the head noted elsewhere tells."""
    heads = verification.verify(copied).heads
    (copied.root / "legal_es/chain/00000004.json").unlink()
    shutil.rmtree(copied.root / "legal_es/exports")
    shutil.rmtree(copied.root / "legal_es/recordings")

    assert verification.verify(copied).problems == []
    (problem,) = verification.verify(copied, heads=heads).problems
    assert problem.path == "legal_es/chain/00000004.json"
    assert heads["legal_es"] in problem.message


def test_it_needs_nothing_and_writes_nothing(copied: DirectoryStore, tmp_path: Path) -> None:
    """A copy that cannot be written to, no configuration, another process, another folder."""
    everything = [copied.root, *copied.root.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat() for path in everything}
    program = (
        "import sys; from pathlib import Path; from archive.verify import verification;"
        "from archive.store.directory import DirectoryStore;"
        "print(verification.verify(DirectoryStore(Path(sys.argv[1]))).problems)"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, copied.root],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)

    assert done.stdout.strip() == "[]"
    assert {path: path.stat().st_mtime_ns for path in [copied.root, *copied.root.rglob("*")]} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


@pytest.mark.parametrize("account", ["india", "legal_es"])
def test_one_accounts_part_is_whole_by_itself(
    copied: DirectoryStore, account: str, tmp_path: Path
) -> None:
    """One account's folder with ledger.json can be given away alone."""
    part = tmp_path / "part"
    shutil.copytree(copied.root / account, part / account)
    shutil.copy(copied.root / "ledger.json", part)
    alone = verification.verify(DirectoryStore(part))
    within = verification.verify(copied, account)

    assert alone.problems == alone.notes == within.problems == within.notes == []
    assert alone.files == within.files
    assert list(alone.heads) == list(within.heads) == [account]


@pytest.mark.parametrize(
    "gone",
    [
        "india/exports/2026/11/20/1111-one/p-1*.zip",
        "india/exports/2026/11/20/1111-one/manifest.json",
        "india/exports/2026/11/20/2222-two/recordings.jsonl",
        "india/recordings/2026/11/20/105.mp3",
        "india/recordings/2026/11/20/301.mp3",
        "legal_es/certified-calls/2026/11/call-1.json",
        "legal_es/recordings/2026/11/20/203.json",
        "ledger.json",
        "nothing",
    ],
)
def test_slices_see_what_one_go_sees(copied: DirectoryStore, gone: str) -> None:
    """Wherever it was interrupted, it continues with the next path, also where files are gone."""
    for target in copied.root.glob(gone):
        target.unlink()
    at_once = list(verification.files(copied))

    assert [path for path, _, _ in at_once] == sorted({path for path, _, _ in at_once})
    assert bool([problem for _, problem, _ in at_once if problem]) == (gone != "nothing")
    for number, (path, _, _) in enumerate(at_once, 1):
        assert list(verification.files(copied, after=path)) == at_once[number:]


def test_progress_is_told_within_a_file(either: Store) -> None:
    """A long read shows that it lives: the bytes read add up to the files and their members."""
    pieces: list[int] = []
    size = sum(size for _, _, size in verification.files(either, on_bytes=pieces.append))

    assert sum(pieces) > size


def test_what_is_not_under_the_chain_is_a_problem(builder: Builder) -> None:
    """A manifest, receipt or metadata that no entry covers could have been put there by anybody."""
    builder.receipt("legal_es", "call-1")
    builder.store.create(archive_paths.receipt_path("legal_es", DAY, "forged", 1), b"{}")
    builder.single("legal_es", recording(1), chained=False)
    builder.export("legal_es", "0b5e", [], {}, chained=False)
    age(builder.store)

    assert [problem.path for problem in verification.verify(builder.store).problems] == [
        "legal_es/certified-calls/2026/11/forged.json",
        "legal_es/exports/2026/11/20/0b5e/manifest.json",
        "legal_es/recordings/2026/11/20/1.json",
    ]


def test_a_live_archive_may_grow_meanwhile(builder: Builder) -> None:
    """A file that came under the chain after the verification began is not a problem."""
    builder.receipt("legal_es", "call-1")
    running = verification.files(builder.store)
    first = next(running)
    builder.receipt("legal_es", "call-2")
    builder.single("legal_es", recording(1))

    assert [problem for _, problem, _ in (first, *running) if problem] == []


def test_foreign_files_are_notes(tmp_path: Path) -> None:
    """Told, not complained of, however old they are; so is the name of a ledger without a chain."""
    builder = Builder(tmp_path)
    builder.identity()
    builder.keep("india/notes.txt", b"x")
    builder.keep(".DS_Store", b"x")
    builder.keep("india/recordings/2026/.DS_Store", b"x")
    os.close(os.open(os.fsencode(builder.root) + b"/india/\xff.mp3", os.O_CREAT))
    age(builder.store)
    report = verification.verify(builder.store)

    assert report.problems == report.pending == []
    assert {note.path.rpartition("/")[2] for note in report.notes} == {
        ".DS_Store",
        "ledger.json",
        "notes.txt",
        "\udcff.mp3",
    }


def test_a_second_copy_of_a_zip_is_a_note(copied: DirectoryStore) -> None:
    """A part that another worker stored once more under another name is nobody's loss."""
    folder = copied.root / "india/exports/2026/11/20/1111-one"
    (original,) = folder.glob("p-1*.zip")
    shutil.copy(original, folder / original.name.replace("p-1", "p-9"))
    age(copied)
    report = verification.verify(copied)

    assert report.problems == report.pending == []
    assert [note.path.rpartition("/")[2][:4] for note in report.notes] == ["p-9."]


def test_nothing_at_all_is_a_problem(tmp_path: Path, copied: DirectoryStore) -> None:
    """An empty folder, a folder that is not there, an account without files: never "whole", though
    the ledger's name lies beside it.
    """
    (problem,) = verification.verify(DirectoryStore(tmp_path / "nowhere")).problems
    assert problem == Problem(".", "contains nothing to verify")
    assert verification.verify(copied, "nobody").problems == [
        Problem("nobody", "contains nothing to verify")
    ]


def test_a_folder_that_is_no_archive_is_a_problem(copied: DirectoryStore) -> None:
    """The folder above the archive, or any other with files in it, is not called whole."""
    report = verification.verify(DirectoryStore(copied.root.parent))
    assert Problem(".", "contains nothing to verify") in report.problems


def test_a_link_that_leads_to_itself_is_named(copied: DirectoryStore) -> None:
    """It is one file that is wrong, and ends no verification of the others."""
    path = "legal_es/recordings/2026/11/20/203.mp3"
    (copied.root / path).unlink()
    (copied.root / path).symlink_to("203.mp3")
    report = verification.verify(copied)

    assert report.problems == [Problem(path, "is a link that leads to itself")]


def test_links_and_strange_files_do_no_harm(copied: DirectoryStore, tmp_path: Path) -> None:
    """A link that leads out, a folder and a pipe in a file's place are named and not followed."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    replaced = [
        "india/recordings/2026/11/20/105.mp3",
        "india/exports/2026/11/20/1111-one/manifest.json",
        "legal_es/certified-calls/2026/11/call-1.json",
    ]
    for path in replaced:
        (copied.root / path).unlink()
    (copied.root / replaced[0]).symlink_to(outside)
    (copied.root / replaced[1]).mkdir()
    os.mkfifo(copied.root / replaced[2])
    report = verification.verify(copied)

    for path in replaced:
        assert path in named(report), (path, report.problems)


def test_an_erasure_is_accepted(builder: Builder) -> None:
    """A manifest of the reserved kind counts as one, under the chain as any other."""
    path = archive_paths.manifest_path(archive_paths.export_folder("india", DAY, "0b5e"))
    stored = builder.store.create(path, b'{"schema": 1, "kind": "erasure", "account": "india"}')
    age(builder.store)
    assert path in named(verification.verify(builder.store))
    chain.append(builder.store, "india", [Covered.of(stored)])

    assert verification.verify(builder.store).problems == []


def _member(content: dict[str, Any], _: list[dict[str, Any]]) -> None:
    content["parts"][0]["members"][0]["sha256"] = "a" * 64


def _one_more(content: dict[str, Any], _: list[dict[str, Any]]) -> None:
    content["parts"][0]["members"].append({"name": "b.mp3", "bytes": 1, "sha256": "a" * 64})


def _single(content: dict[str, Any], _: list[dict[str, Any]]) -> None:
    content["files"][0]["sha256"] = "a" * 64


def _count(content: dict[str, Any], _: list[dict[str, Any]]) -> None:
    content["missing"] += 1


def _account(content: dict[str, Any], _: list[dict[str, Any]]) -> None:
    content["account"] = "other"


def _field(content: dict[str, Any], _: list[dict[str, Any]]) -> None:
    del content["parts"]


def _elsewhere(content: dict[str, Any], _: list[dict[str, Any]]) -> None:
    content["parts"][0]["path"] = "../../outside.zip"


def _line_sum(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    lines[0]["sha256"] = "a" * 64


def _line_member(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    lines[0]["member"] = "other.mp3"


def _line_path(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    lines[0]["path"] = "india/exports/2026/11/20/gone/p.0123456789abcdef.zip"


def _line_single(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    lines[1]["sha256"] = "a" * 64


def _line_outside(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    lines[1]["path"] = "../../outside.mp3"


def _line_other_id(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    lines[1]["id"] = "77"


def _line_gone(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    del lines[2]


def _line_strange(_: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    lines[0]["bytes"] = {"a": 1}


@pytest.mark.parametrize(
    ("lie", "where"),
    [
        (_member, ".zip"),
        (_one_more, ".zip"),
        (_single, "manifest.json"),
        (_count, "recordings.jsonl"),
        (_account, "manifest.json"),
        (_field, "manifest.json"),
        (_elsewhere, "manifest.json"),
        (_line_sum, "recordings.jsonl"),
        (_line_member, "recordings.jsonl"),
        (_line_path, "recordings.jsonl"),
        (_line_single, "recordings.jsonl"),
        (_line_outside, "recordings.jsonl"),
        (_line_other_id, "recordings.jsonl"),
        (_line_gone, "recordings.jsonl"),
        (_line_strange, "recordings.jsonl"),
    ],
)
def test_a_contradiction_under_right_sums_is_found(
    builder: Builder, lie: Callable[[dict[str, Any], list[dict[str, Any]]], None], where: str
) -> None:
    """Lists that do not agree with what they speak of are named, although every sum is right."""
    part = zipped([("730048.1.mp3", audio(1))])
    listed = [recording(1), recording(2), recording(9)]
    content = builder.export("india", "0b5e", listed, {"p": part}, chained=False)
    path = content.pop("path")
    lines = [json.loads(line) for line in builder.store.read(_beside(path)).splitlines()]
    lie(content, lines)
    _reseal(builder, path, content, lines)

    assert any(
        problem.path.endswith(where) for problem in verification.verify(builder.store).problems
    )


def test_the_same_without_a_lie_is_whole(builder: Builder) -> None:
    """The sealing of the test above is itself faultless."""
    part = zipped([("730048.1.mp3", audio(1))])
    listed = [recording(1), recording(2), recording(9)]
    content = builder.export("india", "0b5e", listed, {"p": part}, chained=False)
    path = content.pop("path")
    lines = [json.loads(line) for line in builder.store.read(_beside(path)).splitlines()]
    _reseal(builder, path, content, lines)

    assert verification.verify(builder.store).problems == []


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_audio_of_any_kind_that_is_missing_is_named(tmp_path: Path, ending: str) -> None:
    """Also where its name sorts before that of its metadata, and wherever a slice begins."""
    builder = Builder(tmp_path)
    builder.identity()
    stored = [builder.single("india", recording(n), ending=ending)[0].path for n in (1, 2, 3)]
    (builder.root / stored[1]).unlink()

    assert stored[1] in named(verification.verify(builder.store))
    seen, last = [], ""
    while found := next(verification.files(builder.store, after=last), None):
        last, problem, _ = found
        seen += [last] if problem and "missing" in str(problem) else []
    assert seen == [stored[1]]


def _reseal(
    builder: Builder, path: str, content: dict[str, Any], lines: list[dict[str, Any]]
) -> None:
    """Write list and manifest again with right sums, and put everything under the chain."""
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    overwrite(builder.store, _beside(path), data)
    stored = builder.store.checksum(_beside(path))
    content["recordings"] = {"path": stored.path, "bytes": stored.bytes, "sha256": stored.sha256}
    overwrite(builder.store, path, json.dumps(content).encode())
    covered = [path, *_metadata(builder.store)]
    sums = [builder.store.checksum(one) for one in covered]
    chain.append(builder.store, "india", [Covered.of(one) for one in sums])


def _metadata(store: Store) -> Iterator[str]:
    return (path for path in store.paths() if archive_paths.kind_of(path) == "metadata")


def _beside(path: str) -> str:
    return archive_paths.recordings_path(path.rpartition("/")[0])
