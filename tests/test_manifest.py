"""The manifest and the list of recordings: their fields, their bytes, and the newest of a day."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from archive import paths as archive_paths
from archive.documents import manifest, recordings_list
from archive.errors import Damaged, Missing
from archive.reconciliation import Reconciliation
from archive.store.directory import Store, Stored

from .archives import DAY, Builder, audio, content_of, lines_of, manifest_of, recording, zipped

FIELDS = (
    "schema kind account provider job_id day generation window timezone filters parts files "
    "recordings listed archived missing unexpected complete created_at version"
)


@pytest.fixture
def builder(new_store: Callable[[Path], Store], tmp_path: Path) -> Builder:
    """An empty archive."""
    return Builder(tmp_path, new_store(tmp_path))


def test_a_manifest_has_the_documented_fields(builder: Builder) -> None:
    """Every field of the format and no other, in its order, with counts that the data gives."""
    part = zipped([("730048.1.mp3", audio(1)), ("index.csv", b"a;b")])
    listed = [recording(1), recording(2), recording(9)]
    written = builder.export("india", "0b5e", listed, {"p/1": part})
    path = written.pop("path")

    assert " ".join(written) == FIELDS
    assert path == "india/exports/2026/11/20/0b5e/manifest.json"
    (one,) = written["parts"]
    assert list(one) == ["provider_job_id", "path", "bytes", "sha256", "members"]
    assert one["provider_job_id"] == "p/1"
    assert builder.store.checksum(one["path"]) == Stored(one["path"], one["bytes"], one["sha256"])
    assert [list(member) for member in one["members"]] == [["name", "bytes", "sha256"]] * 2
    (single,) = written["files"]
    assert list(single) == ["recording_id", "path", "bytes", "sha256"]
    assert single["recording_id"] == "2"
    assert list(written["recordings"]) == ["path", "bytes", "sha256"]
    counts = {name: written[name] for name in ("listed", "archived", "missing", "unexpected")}
    assert counts == {"listed": 3, "archived": 2, "missing": 1, "unexpected": 1}
    assert written["complete"] is False


def test_lines_say_where_each_recording_lies(builder: Builder) -> None:
    """Every field as listed, then the place in a ZIP, on its own, or missing."""
    part = zipped([("a/730048.1.mp3", audio(1))])
    listed = [recording(1), recording(2), recording(9)]
    written = builder.export("india", "0b5e", listed, {"p": part})
    in_zip, single, missing = lines_of(builder.store, written)

    (one,) = written["parts"]
    (member,) = one["members"]
    place = {"path": one["path"], "member": member["name"]}
    assert in_zip == {
        **recording(1),
        **place,
        "bytes": member["bytes"],
        "sha256": member["sha256"],
        "audio": "mp3",
    }
    assert list(single)[-4:] == ["path", "bytes", "sha256", "audio"]
    assert builder.store.checksum(single["path"]).sha256 == single["sha256"]
    assert missing == {**recording(9), "missing": True}


def test_a_later_generation_points_into_earlier_ones(builder: Builder) -> None:
    """It lists every recording again; its parts and files are only those of its own run."""
    part = zipped([("730048.1.mp3", audio(1))])
    first = builder.export("india", "one", [recording(1), recording(2)], {"p": part})
    second = builder.export("india", "two", [recording(n) for n in (1, 2, 3)], {}, generation=2)

    assert second["parts"] == []
    assert [one["recording_id"] for one in second["files"]] == ["3"]
    assert [second[name] for name in ("listed", "archived", "missing")] == [3, 3, 0]
    lines = {line["id"]: line for line in lines_of(builder.store, second)}
    assert lines["1"]["path"] == first["parts"][0]["path"]
    assert lines["2"]["path"] == first["files"][0]["path"]


def test_the_newest_generation_of_a_day_is_found(builder: Builder) -> None:
    """By its number, whatever its folder is called; exports that are no day's do not count."""
    assert manifest.latest(builder.store, "india", DAY) is None
    builder.export("india", "zz", [recording(1)], {}, generation=9)
    builder.export("india", "aa", [recording(1)], {}, generation=10)
    builder.export("india", "mm", [recording(1)], {}, day=None, generation=None)
    newest = manifest.latest(builder.store, "india", DAY)

    assert newest is not None
    assert newest.generation == 10
    assert newest.path == "india/exports/2026/11/20/aa/manifest.json"
    assert manifest.latest(builder.store, "india", date(2026, 11, 21)) is None
    assert manifest.latest(builder.store, "legal", DAY) is None


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whoever completes a run late writes what the other wrote, byte for byte."""
    part = zipped([("730048.1.mp3", audio(1))])
    written = []
    for name in ("one", "two"):
        builder = Builder(tmp_path / name)
        sealed = builder.export("india", "0b5e", [recording(2), recording(1)], {"p": part})
        paths = (sealed["path"], sealed["recordings"]["path"])
        written.append([builder.store.read(path) for path in paths])

    assert written[0] == written[1]


def test_the_sums_returned_are_those_of_the_files(tmp_path: Path) -> None:
    """Size and SHA-256 are of the bytes on the disk, of an empty run too."""
    with Reconciliation(tmp_path / "scratch") as run:
        size, sha256 = recordings_list.write(tmp_path / "recordings.jsonl", run.lines())
        recordings = Stored("india/recordings.jsonl", size, sha256)
        size, _ = manifest_of(run, recordings).write(tmp_path / "manifest.json")

    assert (tmp_path / "recordings.jsonl").read_bytes() == b""
    content = json.loads((tmp_path / "manifest.json").read_bytes())
    assert (tmp_path / "manifest.json").stat().st_size == size
    assert content["parts"] == content["files"] == []
    assert content["recordings"] == {"path": recordings.path, "bytes": 0, "sha256": sha256}


def test_names_stay_readable_and_every_line_is_utf8(builder: Builder) -> None:
    """Letters stand as they are; half of a surrogate pair, which is no letter, stays escaped."""
    listed = [recording(1), recording(2, cnam="\ud83d \u2028")]
    written = builder.export("india", "0b5e", listed, {})
    data = builder.store.read(written["recordings"]["path"])

    assert "JOSÉ GARCÍA" in data.decode()
    assert data.count(b"\n") == 2
    assert [line["cnam"] for line in lines_of(builder.store, written)] == [
        "JOSÉ GARCÍA",
        "\ud83d \u2028",
    ]


def test_a_header_is_read_without_the_members(builder: Builder) -> None:
    """The fields before the parts are the manifest's, in any case as `read` has them."""
    written = builder.export("india", "0b5e", [recording(1)], {"p": zipped([])})
    header = manifest.read_header(builder.store, written["path"])
    other = json.dumps(content_of(builder.store, written["path"])).encode()
    builder.store.create("india/other.json", other)

    whole = vars(manifest.read(builder.store, written["path"]))
    assert vars(header).items() <= whole.items()
    assert header == manifest.read_header(builder.store, "india/other.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema": 2}', b"\xff"])
def test_what_is_no_manifest_is_called_damaged(builder: Builder, data: bytes) -> None:
    """A manifest that cannot be read is never taken for a day without recordings."""
    path = archive_paths.manifest_path(archive_paths.export_folder("india", DAY, "0b5e"))
    builder.store.create(path, data)

    with pytest.raises(Damaged):
        manifest.read(builder.store, path)
    with pytest.raises(Damaged):
        manifest.latest(builder.store, "india", DAY)
    with pytest.raises(Missing):
        manifest.read(builder.store, "india/nowhere.json")
