"""Recordings are found in an archive by itself, and come out of it byte for byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archive import paths
from archive.documents.recordings_list import Line
from archive.errors import Damaged, Missing
from archive.search import search
from archive.store.directory import Store
from config.settings import ROOT

from .archives import DAY, Builder, audio, fill, frames, overwrite, recording, zipped

#: Extracts a recording and prints by how much the peak of memory grew, in MB.
EXTRACT = """
import sys
from pathlib import Path
from archive.search import search
from archive.store.directory import open_store
from tests.peak_memory import peak_mb

store = open_store(sys.argv[1])
before = peak_mb()
search.extract(store, "7", Path(sys.argv[2]))
print(peak_mb() - before)
"""


@pytest.fixture(scope="module")
def store(new_store: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An archive with a file of every kind."""
    folder = tmp_path_factory.mktemp("whole")
    return fill(Builder(folder, new_store(folder)))


@pytest.fixture
def builder(new_store: Callable[[Path], Store], tmp_path: Path) -> Builder:
    """An archive with nothing in it."""
    return Builder(tmp_path, new_store(tmp_path))


def ids(hits: Any) -> list[str]:
    """The ids that were found."""
    return [hit.line.id for hit in hits]


def test_every_recording_is_found_once(store: Store) -> None:
    """By account and day; what is missing comes last."""
    found = list(search.find(store))

    assert ids(found) == [*(str(n) for n in range(101, 109)), "301", "901", "201", "202", "203"]
    assert [hit.account for hit in found] == ["india"] * 10 + ["legal_es"] * 3
    assert [hit.line.id for hit in found if hit.line.is_missing] == ["901"]
    assert all(hit.line.path for hit in found if not hit.line.is_missing)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"call_id": "call-103"}, ["103"]),
        ({"recording_id": "203"}, ["203"]),
        ({"recording_id": "20"}, []),
        ({"recording_id": "301", "account": "india"}, ["301"]),
        ({"recording_id": "301", "account": "legal_es"}, []),
        ({"number": "+1 (732) 555-0102"}, ["102"]),
        ({"number": "5550102"}, ["102"]),
        ({"number": "0301"}, ["301"]),
        ({"number": "00917325550102"}, []),
        ({"number": "173255"}, []),
        ({"number": "+91 44 1234 5678", "account": "legal_es"}, ["201", "202", "203"]),
        ({"number": "0102", "call_id": "call-103"}, []),
    ],
)
def test_conditions_narrow_the_search(
    store: Store, conditions: dict[str, Any], expected: list[str]
) -> None:
    """By call, by id, by either number in any spelling or its last digits; all must hold."""
    assert ids(search.find(store, **conditions)) == expected


def test_a_number_needs_digits(store: Store) -> None:
    """A search for no digit is a mistake and not a search for everything."""
    with pytest.raises(ValueError, match="no digits"):
        list(search.find(store, number="+"))


def test_both_days_of_a_search_are_included(builder: Builder) -> None:
    """By the local day, for days and single recordings; by the day in UTC for other exports."""
    late = "2026-11-19T20:00:00Z"  # in India the 20th has begun
    builder.export("india", "day", [recording(1, start=late)], {"p": zipped([])})
    builder.single("india", recording(2, start=late))
    other = [recording(3, start=late), recording(4)]
    builder.export("india", "other", other, {"p": zipped([])}, day=None, generation=None)

    def within(start: date | None, end: date | None) -> list[str]:
        return sorted(ids(search.find(builder.store, start=start, end=end)))

    before, after = date(2026, 11, 19), date(2026, 11, 21)
    assert within(DAY, DAY) == within(DAY, None) == within(DAY, after) == ["1", "2", "3", "4"]
    assert within(before, before) == within(None, before) == ["3"]
    assert within(after, None) == []
    assert within(None, None) == within(before, DAY) == ["1", "2", "3", "4"]


def test_the_newest_generation_speaks(builder: Builder) -> None:
    """What a later list says of a recording replaces what an earlier one said."""
    builder.export("india", "b", [recording(1, call_id="old"), recording(9)], {"p": zipped([])})
    later = [recording(1, call_id="new"), recording(9)]
    newest = builder.export("india", "a", later, {}, generation=2)

    (hit,) = search.find(builder.store, recording_id="1")
    assert (hit.source, hit.line.fields["call_id"]) == (newest["path"], "new")
    assert ids(search.find(builder.store, call_id="old")) == []
    assert ids(search.find(builder.store, recording_id="9")) == ["9"]


def test_a_recording_missing_in_one_export_is_found_in_another(builder: Builder) -> None:
    """It counts as missing only where it lies nowhere."""
    builder.export("india", "day", [recording(9)], {"p": zipped([])})
    builder.single("india", recording(9))

    (hit,) = search.find(builder.store)
    assert hit.source == paths.recording_json_path("india", DAY, "9")
    assert hit.line.sha256 == hashlib.sha256(audio(9)).hexdigest()
    assert hit.line.fields["caller_id"] == recording(9)["caller_id"]


def test_what_can_not_be_read_hides_nothing_else(builder: Builder) -> None:
    """Every other recording is given first, and then the file is named."""
    part = zipped([("730048.1.mp3", audio(1))])
    written = builder.export("india", "day", [recording(1)], {"p": part})
    builder.export("india_two", "day", [recording(2)], {"p": zipped([])})
    overwrite(builder.store, written["recordings"]["path"], b'{"id": "1", ')

    hits, damage = search.found(builder.store)
    assert ids(hits) == ["2"]
    assert isinstance(damage, Damaged)
    assert "recordings.jsonl" in str(damage)


def test_a_list_that_can_not_be_read_is_named(builder: Builder) -> None:
    """A search never passes over damage in silence."""
    written = builder.export("india", "day", [recording(1)], {"p": zipped([])})
    overwrite(builder.store, written["recordings"]["path"], b'{"id": "1", ')

    with pytest.raises(Damaged, match=r"recordings\.jsonl"):
        list(search.find(builder.store))


@pytest.mark.parametrize("line", [b"x", b"[]", b"5", b"{}", b'{"id": [1]}', b"[" * 100_000])
def test_a_list_of_several_that_can_not_be_read_is_named(builder: Builder, line: bytes) -> None:
    """Also where two generations of a day are compared: the error is about the list."""
    listed = [recording(1)]
    builder.export("india", "one", listed, {"p": zipped([])}, generation=1)
    second = builder.export("india", "two", listed, {"q": zipped([])}, generation=2)
    overwrite(builder.store, second["recordings"]["path"], line + b"\n")

    with pytest.raises(Damaged, match=r"two/recordings\.jsonl"):
        list(search.find(builder.store))


@pytest.mark.parametrize(
    "wrong", [{"generation": "x"}, {"generation": [1]}, {"day": "then"}, {"day": 5}, {"day": {}}]
)
def test_a_manifest_that_can_not_be_read_is_named(builder: Builder, wrong: Any) -> None:
    """A day or a generation that is none is damage of that file."""
    written = builder.export("india", "day", [recording(1)], {"p": zipped([])})
    path = written.pop("path")
    overwrite(builder.store, path, json.dumps({**written, **wrong}, indent=1).encode())

    with pytest.raises(Damaged, match=r"manifest\.json"):
        list(search.find(builder.store))


def test_a_recording_comes_out_of_a_zip(store: Store, tmp_path: Path) -> None:
    """Byte for byte, with its line (both numbers, both times) and the manifest that proves it."""
    to = tmp_path / "for" / "the lawyer"
    written = search.extract(store, "102", to)

    assert written == [to / "102.mp3", to / "102.json", to / "manifest.json"]
    assert sorted(to.iterdir()) == sorted(written)
    assert (to / "102.mp3").read_bytes() == audio(102)
    line = json.loads((to / "102.json").read_bytes())
    assert recording(102).items() <= line.items()
    (hit,) = search.find(store, recording_id="102")
    assert line == hit.line.fields
    assert (to / "manifest.json").read_bytes() == store.read(hit.source)
    assert (to / "102.json").read_bytes() in store.read(hit.source[:-13] + "recordings.jsonl")


def test_a_name_twice_gives_the_right_one(store: Store, tmp_path: Path) -> None:
    """Of two members with one name the one whose sum is listed comes out."""
    search.extract(store, "104", tmp_path)

    assert (tmp_path / "104.mp3").read_bytes() == audio(104)


def test_a_single_recording_comes_with_its_metadata(store: Store, tmp_path: Path) -> None:
    """What was fetched singly is proven by its own metadata, which is under the chain."""
    written = search.extract(store, "301", tmp_path)

    assert written == [tmp_path / "301.mp3", tmp_path / "301.json"]
    assert (tmp_path / "301.mp3").read_bytes() == audio(301)
    metadata = paths.recording_json_path("india", DAY, "301")
    assert (tmp_path / "301.json").read_bytes() == store.read(metadata)


def test_several_recordings_come_into_one_folder(store: Store, tmp_path: Path) -> None:
    """Of one export and of several: each with what proves it. A manifest that is there already is
    not written again, another one gets the recording's name; and to extract one again changes
    nothing.
    """
    first = search.extract(store, "102", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first}
    same = search.extract(store, "103", tmp_path)
    single = search.extract(store, "301", tmp_path)
    other = search.extract(store, "201", tmp_path)
    again = search.extract(store, "202", tmp_path)

    assert same == [tmp_path / name for name in ("103.mp3", "103.json", "manifest.json")]
    assert single == [tmp_path / name for name in ("301.mp3", "301.json")]
    assert other == [tmp_path / name for name in ("201.mp3", "201.json", "201~manifest.json")]
    assert again == [tmp_path / name for name in ("202.mp3", "202.json", "202~manifest.json")]
    for recording_id, manifest in (("103", "manifest.json"), ("201", "201~manifest.json")):
        (hit,) = search.find(store, recording_id=recording_id)
        assert (tmp_path / manifest).read_bytes() == store.read(hit.source)
        assert (tmp_path / f"{recording_id}.mp3").read_bytes() == audio(int(recording_id))
    assert search.extract(store, "102", tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first} == before
    assert not list(tmp_path.glob("*.part"))


def test_a_recording_of_the_same_id_in_another_account_is_not_mixed_up(
    builder: Builder, tmp_path: Path
) -> None:
    """It is refused in a folder that holds the other one, which stays."""
    for account in ("india", "india_two"):
        builder.single(account, recording(5))
    written = search.extract(builder.store, "5", tmp_path / "to", account="india")
    before = [path.read_bytes() for path in written]

    with pytest.raises(FileExistsError, match=r"5\.json"):
        search.extract(builder.store, "5", tmp_path / "to", account="india_two")
    assert [path.read_bytes() for path in written] == before
    assert sorted((tmp_path / "to").iterdir()) == sorted(written)


@pytest.mark.parametrize("present", ["102.mp3", "102.wav", "102.json", "manifest.json"])
def test_nothing_is_overwritten(store: Store, tmp_path: Path, present: str) -> None:
    """A folder that holds one of the names is left as it is."""
    (tmp_path / present).write_bytes(b"kept")

    with pytest.raises(FileExistsError, match=present) as refused:
        search.extract(store, "102", tmp_path)
    assert str(refused.value).endswith(f": '{tmp_path / present}'")
    assert [path.name for path in tmp_path.iterdir()] == [present]
    assert (tmp_path / present).read_bytes() == b"kept"


def test_a_recording_called_manifest_comes_with_its_manifest(
    builder: Builder, tmp_path: Path
) -> None:
    """Its line does not take the name of the manifest that is handed over with it."""
    data = audio(1)
    builder.export(
        "india", "job-9", [recording(1, id="manifest")], {"p9": zipped([("730048.1.mp3", data)])}
    )
    written = search.extract(builder.store, "manifest", tmp_path / "out")
    assert {path.name for path in written} == {"manifest~.mp3", "manifest~.json", "manifest.json"}
    assert json.loads((tmp_path / "out/manifest~.json").read_text())["id"] == "manifest"
    assert json.loads((tmp_path / "out/manifest.json").read_text())["kind"] == "export"


def test_what_is_not_there_is_said(store: Store, builder: Builder, tmp_path: Path) -> None:
    """Unknown, missing, and not clear which: each with its own words, and nothing is written."""
    to = tmp_path / "to"
    with pytest.raises(Missing, match="in this archive"):
        search.extract(store, "999", to)
    with pytest.raises(Missing, match="as missing"):
        search.extract(store, "901", to)
    for account in ("india", "india_two"):
        builder.single(account, recording(5))
    with pytest.raises(ValueError, match="india, india_two"):
        search.extract(builder.store, "5", to)
    assert not to.exists()
    assert search.extract(builder.store, "5", to, account="india_two")


@pytest.mark.parametrize("recording_id", ["102", "301"])
def test_damaged_bytes_never_come_out(builder: Builder, tmp_path: Path, recording_id: str) -> None:
    """What is not what its manifest or metadata says is refused, and nothing is left behind."""
    damaged = fill(builder)
    (hit,) = search.find(damaged, recording_id=recording_id)
    data = damaged.read(hit.line.path)
    at = data.find(audio(int(recording_id))[10:20]) if recording_id == "301" else len(data) // 2
    changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    if recording_id == "102":
        changed = zipped([("a/730048.102.mp3", audio(102)[:-1] + b"?")])
    overwrite(damaged, hit.line.path, changed)

    with pytest.raises((Damaged, Missing)):
        search.extract(damaged, recording_id, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_large_zip_is_streamed(tmp_path: Path) -> None:
    """A recording of 200 MB among 20,000 others comes out whole within 48 MB of memory."""
    builder = Builder(tmp_path)
    source, piece = tmp_path / "large.zip", frames(7, 7282)
    with zipfile.ZipFile(source, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"small-{number}.mp3", b"%d" % number)
        with archive.open("730048.7.mp3", "w", force_zip64=True) as member:
            for _ in range(200):
                member.write(piece)
    digest = hashlib.sha256()
    for _ in range(200):
        digest.update(piece)
    data = source.read_bytes()
    listed = [recording(7, file_size_in_bytes=200 * len(piece))]
    builder.export("india", "0b5e", listed, {"p": data})
    del data
    grown = subprocess.run(
        [sys.executable, "-c", EXTRACT, builder.root, tmp_path / "to"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert int(grown.stdout) <= 48
    with (tmp_path / "to/7.mp3").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest.hexdigest()


def test_audio_comes_as_a_stream(store: Store) -> None:
    """What a line names, whether it lies in a ZIP or in a file of its own."""
    lines = {hit.line.id: hit.line for hit in search.find(store, account="india")}

    for number in ("102", "105", "301"):
        assert lines[number].is_in_zip == (number == "102")
        assert b"".join(search.audio(store, lines[number])) == audio(int(number))


@pytest.mark.parametrize("number", ["102", "301"])
def test_audio_with_another_sum_is_refused(store: Store, number: str) -> None:
    """Who reads to the end knows that the bytes are those that were archived."""
    (hit,) = search.find(store, recording_id=number)

    with pytest.raises((Damaged, Missing)):
        list(search.audio(store, Line({**hit.line.fields, "sha256": "0" * 64})))
