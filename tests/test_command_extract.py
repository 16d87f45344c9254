"""``extract --into``: many recordings in one folder, with an index."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import warnings
from pathlib import Path

import pytest

from . import forked
from .archives import full_archive
from .deployment import ROOT


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of two accounts, with recordings in ZIPs, singly and missing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        return full_archive(tmp_path / "kept").root


def extract(archive: Path, into: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command on an archive that nothing configures."""
    words = ["extract", "--archive", str(archive), "--into", str(into), *arguments]
    return forked.run("worker", words, {}, ROOT, within=60)


def index(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of the index by recording."""
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        return {row["recording"]: row for row in csv.DictReader(file)}


def test_what_options_select_comes_with_an_index(archive: Path, tmp_path: Path) -> None:
    """Every recording of an account: the index names each file, whose bytes have the sum that it
    says; one that is missing is named, and the others are copied all the same.
    """
    into = tmp_path / "case"
    done = extract(archive, into, "--account", "india", "--from", "2026-11-20", "--json")
    rows = index(into)
    assert done.returncode == 1, "a recording is missing"
    assert all("missing" in line for line in done.stderr.splitlines())
    assert set(rows) >= {"101", "104", "301"}
    for row in rows.values():
        audio = into / row["audio"]
        assert hashlib.sha256(audio.read_bytes()).hexdigest() == row["sha256"]
        assert audio.stat().st_size == int(row["bytes"])
        assert json.loads((into / row["line"]).read_text())
        assert row["account"] == "india"
    written = {Path(path) for path in json.loads(done.stdout)}
    assert written == {*into.iterdir()}
    manifests = {row["manifest"] for row in rows.values() if row["manifest"]}
    assert all((into / one).is_file() for one in manifests)
    assert manifests == {"manifest.json"}, "a manifest is copied once"


def test_a_second_extraction_adds_to_the_first(archive: Path, tmp_path: Path) -> None:
    """Named recordings and a call into the same folder: what is there stays as it is, and the index
    has all of them, once each.
    """
    into = tmp_path / "case"
    assert extract(archive, into, "101", "102", "--account", "india").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in into.iterdir() if path.name != "index.csv"}
    assert extract(archive, into, "--call-id", "call-103").returncode == 0
    assert extract(archive, into, "102").returncode == 0
    assert sorted(index(into)) == ["101", "102", "103"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_two_accounts_get_a_folder_each(archive: Path, tmp_path: Path) -> None:
    """A search that finds recordings of several accounts mixes none of their files."""
    into = tmp_path / "case"
    extract(archive, into, "--from", "2026-11-20")
    accounts = {row["account"] for row in index(into).values()}
    assert len(accounts) == 2
    assert {path.name for path in into.iterdir()} == {*accounts, "index.csv"}
    assert all(row["audio"].startswith(f"{row['account']}/") for row in index(into).values())


def test_what_cannot_be_done_is_a_sentence(archive: Path, tmp_path: Path) -> None:
    """No condition, a span that ends before it begins, a day that is none, nothing found, a foreign
    file of the index's name: nothing is written or changed.
    """
    into = tmp_path / "case"
    for arguments, status in (
        ((), 2),
        (("--from", "2026-11-20", "--to", "2026-11-19"), 2),
        (("--to", "folder"), 2),
        (("--number", "no digits"), 2),
        (("--call-id", "nobody"), 1),
        (("999999",), 1),
    ):
        done = extract(archive, into, *arguments)
        assert (done.returncode, done.stdout) == (status, ""), arguments
        assert done.stderr.startswith("earwitness: ")
        assert not into.exists()
    into.mkdir()
    (into / "index.csv").write_text("mine\n")
    assert extract(archive, into, "101").returncode == 1
    assert (into / "index.csv").read_text() == "mine\n"


def test_a_damaged_recording_stops_no_other(archive: Path, tmp_path: Path) -> None:
    """It is named and not copied, the status is 1, and the index has the others."""
    single = next(archive.glob("india/recordings/*/*/*/301.mp3"))
    single.chmod(0o600)
    single.write_bytes(single.read_bytes()[::-1])
    into = tmp_path / "case"
    done = extract(archive, into, "101", "301", "102")
    assert done.returncode == 1
    assert "301" in done.stderr
    assert sorted(index(into)) == ["101", "102"]
    assert not list(into.glob("301.mp3*"))
