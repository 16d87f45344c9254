"""A verification of an archive in use: what was stored a moment ago is pending, and no problem."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from archive import chain
from archive import paths as archive_paths
from archive.documents.chain_entry import Covered
from archive.store.directory import INCOMING, DirectoryStore, Store
from archive.verify import verification
from archive.verify.verification import Pending, Unvouched
from config.settings import ROOT

from .archives import DAY, Builder, age, audio, full_archive, recording, zipped

FOLDER = archive_paths.export_folder("legal_es", DAY, "0b5e")
FOUR = [
    "legal_es/certified-calls/2026/11/call-2.json",
    "legal_es/exports/2026/11/20/0b5e/manifest.json",
    "legal_es/recordings/2026/11/20/1.json",
    "legal_es/recordings/2026/11/20/2.mp3",
]
VERIFY = [sys.executable, "-m", "worker", "verify"]


@pytest.fixture
def builder(new_store: Callable[[Path], Store], tmp_path: Path) -> Builder:
    """An archive with one receipt under a chain."""
    building = Builder(tmp_path, new_store(tmp_path))
    building.identity()
    building.receipt("legal_es", "call-1")
    return building


def unvouched(builder: Builder) -> None:
    """A receipt, a manifest and metadata that no chain covers, audio without metadata."""
    builder.store.create(archive_paths.receipt_path("legal_es", DAY, "call-2", 1), b"{}")
    builder.single("legal_es", recording(1), chained=False)
    builder.keep(archive_paths.recording_path("legal_es", DAY, "2", "mp3"), audio(2))
    builder.export("legal_es", "0b5e", [], {}, chained=False)


def unsealed(builder: Builder) -> list[str]:
    """What a run leaves until its manifest is written."""
    data = zipped([("a.mp3", b"a")])
    zip_file = builder.keep(f"{FOLDER}/p.{'0' * 16}.zip", data)
    right = archive_paths.part_path(FOLDER, "p", zip_file.sha256)
    builder.keep(right, data)
    builder.keep(archive_paths.recordings_path(FOLDER), b"")
    return [right, archive_paths.recordings_path(FOLDER)]


def test_young_files_are_pending_and_old_ones_are_problems(builder: Builder) -> None:
    """Whatever kind of file it is, and whatever storage it lies in."""
    unvouched(builder)
    report = verification.verify(builder.store)
    assert [pending.path for pending in report.pending] == FOUR
    assert report.problems == report.notes == []

    age(builder.store, verification.PENDING_SECONDS - 60)
    assert len(verification.verify(builder.store).pending) == len(FOUR)
    age(builder.store, verification.PENDING_SECONDS + 60)
    report = verification.verify(builder.store)
    assert [problem.path for problem in report.problems] == FOUR
    assert report.pending == report.notes == []
    assert {type(problem) for problem in report.problems} == {Unvouched}


def test_what_a_run_under_way_has_stored_is_pending(builder: Builder) -> None:
    """ZIPs and a list before their manifest; a ZIP whose name is not its own is damage at once."""
    paths = unsealed(builder)
    report = verification.verify(builder.store)
    assert [pending.path for pending in report.pending] == paths
    (problem,) = report.problems
    assert problem.path.endswith(f"{'0' * 16}.zip")

    age(builder.store)
    report = verification.verify(builder.store)
    assert set(paths) < {problem.path for problem in report.problems}
    assert report.pending == []


def test_a_time_that_is_still_to_come_is_not_young_for_ever(builder: Builder) -> None:
    """Clocks differ by minutes; a file that calls itself of next year is a problem today."""
    unvouched(builder)
    age(builder.store, -60)
    assert len(verification.verify(builder.store).pending) == len(FOUR)
    age(builder.store, -365 * 86400)
    assert [problem.path for problem in verification.verify(builder.store).problems] == FOUR


def test_a_file_is_young_from_the_moment_it_is_stored(tmp_path: Path) -> None:
    """However long ago the download ended whose bytes it has."""
    builder = Builder(tmp_path)
    source = tmp_path / "download"
    source.write_bytes(audio(1))
    os.utime(source, (0, 0))
    stored = builder.store.checksum(builder.keep("x", audio(1)).path)
    builder.store.keep("india/recordings/2026/11/20/1.mp3", source, stored.sha256)

    assert time.time() - builder.store.modified("india/recordings/2026/11/20/1.mp3") < 60


def test_foreign_files_among_an_archives_are_problems_when_they_are_old(builder: Builder) -> None:
    """Audio of another ending, a manifest of another name, an entry with nine digits."""
    for path in ("exports/x.json", "recordings/2026/11/20/1.ogg", "chain/000000002.json"):
        builder.keep(f"legal_es/{path}", b"x")
    assert len(verification.verify(builder.store).pending) == 3
    age(builder.store)
    report = verification.verify(builder.store)
    assert [problem.path for problem in report.problems] == [
        "legal_es/chain/000000002.json",
        "legal_es/exports/x.json",
        "legal_es/recordings/2026/11/20/1.ogg",
    ]


def test_another_zip_in_an_exports_folder_is_a_problem_when_it_is_old(builder: Builder) -> None:
    """Its manifest does not name it, and never will."""
    builder.export("legal_es", "0b5e", [], {"p": zipped([("a.mp3", b"a")])})
    data = zipped([("b.mp3", b"b")])
    sha256 = builder.keep(f"scratch/{'1' * 16}.zip", data).sha256
    stray = builder.keep(archive_paths.part_path(FOLDER, "p", sha256), data)
    assert [pending.path for pending in verification.verify(builder.store).pending] == [stray.path]
    age(builder.store)
    assert stray.path in {problem.path for problem in verification.verify(builder.store).problems}


def test_damage_of_a_young_file_is_a_problem_at_once(builder: Builder) -> None:
    """Its youth excuses only that nothing vouches for it."""
    path = archive_paths.manifest_path(FOLDER)
    builder.store.create(path, b'{"schema": 1, "kind": "export"}')
    (problem,) = verification.verify(builder.store).problems
    assert (problem.path, type(problem) is Pending) == (path, False)


def test_what_comes_and_goes_while_it_runs_is_no_problem(tmp_path: Path) -> None:
    """Old files too: a manifest that is written while the verification is elsewhere, an entry of
    the chain, a file of another program that is gone again.
    """
    store = full_archive(tmp_path / "full")
    builder = Builder(tmp_path / "full", store)
    folder = archive_paths.export_folder("legal_es", DAY, "9999-nine")
    data = zipped([("a.mp3", b"a")])
    stored = builder.keep("india/.rsync.tmp", data)
    late = archive_paths.part_path(folder, "p-9", stored.sha256)
    builder.keep(late, data)
    builder.keep(f"{folder}/passing", b"x")
    (metadata, _) = builder.single("india", recording(777), chained=False)
    age(store)
    seen = {}
    for path, problem, _ in verification.files(store):
        if path == "india/exports/2026/11/20/1111-one/manifest.json":
            (store.root / folder / "passing").unlink()
            sums = [store.checksum("india/recordings/2026/11/20/777.json")]
            chain.append(store, "india", [Covered.of(one) for one in sums])
            builder.export("legal_es", "9999-nine", [], {"p-9": data})
        seen[path] = problem

    assert metadata.path in seen
    assert late in seen
    assert [problem for problem in seen.values() if problem] == []


def test_what_a_killed_writer_left_is_no_problem(tmp_path: Path) -> None:
    """Temporary names are no part of the archive, however old; a second name of a stored file."""
    store = full_archive(tmp_path)
    left = store.root / INCOMING
    (left / f"1-{'a' * 32}").write_bytes(b"half of a file")
    os.link(store.root / "ledger.json", left / f"2-{'b' * 32}")
    age(store)
    report = verification.verify(store)

    assert report.problems == report.pending == report.notes == []


def verified(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, as a person or cron runs it."""
    command = [*VERIFY, str(root), *options]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


def test_the_command_counts_pending_files_and_is_content(tmp_path: Path) -> None:
    """In text and as JSON, with the status 0; old ones are problems, with the status 1."""
    builder = Builder(tmp_path)
    builder.identity()
    builder.receipt("legal_es", "call-1")
    unvouched(builder)
    text, told = verified(builder.root), verified(builder.root, "--json")
    assert (text.returncode, told.returncode) == (0, 0), text.stdout + text.stderr
    assert f"pending: {FOUR[0]}: is not covered by the chain" in text.stdout
    assert text.stdout.splitlines()[-1].startswith("verify: ok (")
    assert text.stdout.splitlines()[-1].endswith(", 4 pending)")
    report = json.loads(told.stdout)
    assert [one["path"] for one in report["pending"]] == FOUR
    assert report["problems"] == []

    assert isinstance(builder.store, DirectoryStore)
    age(builder.store)
    text, told = verified(builder.root), verified(builder.root, "--json")
    assert (text.returncode, told.returncode) == (1, 1)
    assert "verify: 4 problems in" in text.stdout
    assert "pending" not in text.stdout
    assert [one["path"] for one in json.loads(told.stdout)["problems"]] == FOUR
