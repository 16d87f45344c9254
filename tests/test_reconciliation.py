"""What is listed against what came: matching, gaps and counts, at any size."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.audio.properties import Sound
from archive.documents.recordings_list import Line, Place
from archive.reconciliation import Counts, Reconciliation
from archive.store.directory import Stored
from archive.zip.verification import Member
from config.settings import ROOT

#: Lists and matches as many recordings as told, and prints by how much the peak of memory grew.
LARGE = """
import hashlib, sys
from pathlib import Path
from archive.audio.properties import Sound
from archive.documents import recordings_list
from archive.documents.manifest import Manifest
from archive.reconciliation import Reconciliation
from archive.store.directory import Stored
from archive.zip.verification import Member
from tests.peak_memory import peak_mb

folder, count, way = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def name(number):
    return {"name": f"f{number}.mp3", "number": f"x-{number}.mp3", "size": "some.mp3"}[way]

before = peak_mb()
with Reconciliation(folder / "scratch") as run:
    for _ in range(2):
        run.start_pass()
        for number in range(count):
            run.listed({"id": str(number), "start": f"2026-11-20T00:00:{number % 60:02}Z",
                        "file_name": f"f{number}.mp3", "file_size_in_bytes": 1000 + number,
                        "cnam": "x" * 300})
    assert run.passes_agree()
    run.part("p", Stored("a/p.zip", 1, "0" * 64))
    for number in range(0, count, 2):
        sha256 = hashlib.sha256(b"%d" % number).hexdigest()
        run.member("p", Member(name(number), 1000 + number, sha256, Sound("mp3")))
    run.match()
    assert run.not_understood() == []
    for recording in run.missing():
        run.fetched(recording["id"], Stored(f"a/{recording['id']}.mp3", 1, "1" * 64))
    counts = run.counts()
    assert (counts.listed, counts.archived, counts.unexpected) == (count, count, 0), counts
    assert sum(1 for line in run.lines() if line.is_in_zip) == count // 2
    recordings_list.write(folder / "recordings.jsonl", run.lines())
    header = dict.fromkeys(("account", "provider", "job_id", "day", "generation", "window",
        "timezone", "filters", "complete", "created_at", "version"))
    Manifest(**header, **vars(counts), parts=run.parts(), files=run.files(),
        recordings=Stored("a", 1, "2" * 64)).write(folder / "manifest.json")
print(peak_mb() - before)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Reconciliation]:
    """A run with one ZIP."""
    with Reconciliation(tmp_path / "scratch") as reconciliation:
        reconciliation.start_pass()
        reconciliation.part("p", Stored("india/p.zip", 1000, "a" * 64))
        yield reconciliation


def recording(number: int, size: int | None = None, **fields: Any) -> dict[str, Any]:
    """A recording as it is listed; its size is not told unless it is given."""
    return {
        "id": str(number),
        "start": f"2026-11-20T00:00:{number % 60:02}Z",
        "file_name": f"f{number}.mp3",
        "file_size_in_bytes": size,
        **fields,
    }


def member(name: str, size: int = 5, sound: Sound | None = Sound("mp3")) -> Member:  # noqa: B008
    """A member of a ZIP with bytes of its own, of which this was heard."""
    return Member(name, size, hashlib.sha256(f"{name}{size}".encode()).hexdigest(), sound)


def places(run: Reconciliation) -> dict[str, str | None]:
    """By recording the member it was matched to."""
    return {line.id: line.member for line in run.lines()}


def test_a_member_is_matched_by_its_name_in_whatever_folder(run: Reconciliation) -> None:
    """The basename of file_name decides, with either slash, before ids and sizes."""
    run.listed(recording(1))
    run.listed(recording(2))
    run.listed(recording(3, file_name="deep/er/f3.mp3"))
    for name in ("2026/11/f1.mp3", "c\\f2.mp3", "f3.mp3"):
        run.member("p", member(name, 999))
    run.match()

    assert places(run) == {"1": "2026/11/f1.mp3", "2": "c\\f2.mp3", "3": "f3.mp3"}
    assert run.counts() == Counts(listed=3, archived=3, missing=0, unexpected=0)


def test_a_name_decides_before_ids_and_sizes(run: Reconciliation) -> None:
    """A name with another recording's id in it, and one whose size two recordings have; under a
    name that was listed with another size nothing is taken, by whom the size would fit neither.
    """
    for number, name, size in (
        (1, "2.mp3", None),
        (2, "1.mp3", None),
        (3, "twin.mp3", 30),
        (4, "other.mp3", 30),
        (5, "cut.mp3", 50),
        (6, "else.mp3", 49),
    ):
        run.listed(recording(number, size, file_name=name))
    for name, size in (("1.mp3", 9), ("2.mp3", 9), ("other.mp3", 30), ("twin.mp3", 30)):
        run.member("p", member(name, size))
    run.member("p", member("cut.mp3", 49))
    run.match()

    assert places(run) == {
        "1": "2.mp3",
        "2": "1.mp3",
        "3": "twin.mp3",
        "4": "other.mp3",
        "5": None,
        "6": None,
    }


def test_a_member_of_another_size_than_was_listed_is_not_the_recording(run: Reconciliation) -> None:
    """An empty member, a cut one or a page of errors under a recording's name or id: the recording
    is missing and fetched singly, nobody else is given those bytes, and the name is understood.
    """
    for number, size in ((1, 100), (2, 200), (300300, 300), (4, 7)):
        run.listed(recording(number, size))
    run.member("p", member("f1.mp3", 0))
    run.member("p", member("f2.mp3", 7))
    run.member("p", member("call_300300.mp3", 299))
    run.match()

    assert places(run) == {"1": None, "2": None, "300300": None, "4": None}
    assert run.counts() == Counts(listed=4, archived=0, missing=4, unexpected=3)
    assert run.not_understood() == []

    run.member("p", member("f1.mp3", 100))
    run.match()
    assert places(run)["1"] == "f1.mp3"


def test_a_member_is_matched_by_the_id_as_a_whole_number(run: Reconciliation) -> None:
    """An id that is only a piece of a longer number, or the 3 of mp3, is not meant."""
    run.listed(recording(193228))
    run.listed(recording(19322))
    run.listed(recording(3, 33))
    run.member("p", member("call_193228_x.mp3"))
    run.member("p", member("call_1193228.mp3"))
    run.match()

    assert places(run) == {"193228": "call_193228_x.mp3", "19322": None, "3": None}
    assert run.counts().unexpected == 1


def test_a_name_with_several_ids_decides_nothing_unless_its_size_does(run: Reconciliation) -> None:
    """A recording is never given another one's audio because its number stands in the name too."""
    run.listed(recording(730048, 70))
    run.listed(recording(193228, 80))
    run.listed(recording(193229, 90))
    run.member("p", member("730048.193228.mp3", 80))
    run.member("p", member("730048.193229.mp3", 91))
    run.match()

    assert places(run) == {"730048": None, "193228": "730048.193228.mp3", "193229": None}


def test_a_member_is_matched_by_a_size_unique_on_both_sides(run: Reconciliation) -> None:
    """A size that two recordings or two members have decides nothing; nor does an empty file."""
    for number, size in ((1, 50), (2, 60), (3, 60), (4, 70), (5, 0)):
        run.listed(recording(number, size))
    for name, size in (("a", 50), ("b", 60), ("c", 70), ("d", 70), ("e", 0)):
        run.member("p", member(f"{name}.mp3", size))
    run.match()

    assert places(run) == {"1": "a.mp3", "2": None, "3": None, "4": None, "5": None}
    assert run.counts().unexpected == 4


def test_a_size_taken_by_name_before_is_unique_among_the_rest(run: Reconciliation) -> None:
    """What was matched by name no longer stands in the way of the size."""
    run.listed(recording(1, 50))
    run.listed(recording(2, 50))
    run.member("p", member("f1.mp3", 50))
    run.member("p", member("odd.mp3", 50))
    run.match()

    assert places(run) == {"1": "f1.mp3", "2": "odd.mp3"}


def test_of_a_name_twice_the_second_is_unexpected(run: Reconciliation) -> None:
    """A duplicate name is no second recording."""
    run.listed(recording(1))
    run.member("p", member("f1.mp3", 1))
    run.member("p", member("f1.mp3", 7))
    run.match()

    assert [line.place.bytes for line in run.lines()] == [1]
    assert run.counts() == Counts(listed=1, archived=1, missing=0, unexpected=1)


def test_of_a_name_twice_the_second_may_be_another_recording(run: Reconciliation) -> None:
    """Two recordings that are listed under one name each get theirs, by size."""
    run.listed(recording(1, 10, file_name="same.mp3"))
    run.listed(recording(2, 20, file_name="same.mp3"))
    run.member("p", member("same.mp3", 20))
    run.member("p", member("same.mp3", 10))
    run.match()

    assert {line.id: line.place.bytes for line in run.lines()} == {"1": 10, "2": 20}
    assert run.counts().unexpected == 0


def test_of_a_name_twice_the_best_recording_is_taken(run: Reconciliation) -> None:
    """One that was listed with this very size before one of unknown size, one that lies nowhere
    before one that is archived already, the earlier before the later; and none twice.
    """
    later = {"start": "2026-11-20T01:00:00Z"}
    run.listed(recording(1, file_name="sized.mp3"))
    run.listed(recording(2, 20, file_name="sized.mp3", **later))
    run.listed(recording(3, file_name="kept.mp3"))
    run.listed(recording(4, file_name="kept.mp3", **later))
    run.listed(recording(5, file_name="twice.mp3", **later))
    run.listed(recording(6, file_name="twice.mp3"))
    run.earlier("3", Place(path="india/old.mp3", bytes=1, sha256="c" * 64))
    for name, size in (("sized", 20), ("sized", 10), ("kept", 7), ("twice", 8)):
        run.member("p", member(f"{name}.mp3", size))
    for _ in range(2):
        run.match()
        assert {line.id: line.fields.get("bytes") for line in run.lines()} == {
            "1": 10,
            "2": 20,
            "3": 1,
            "4": 7,
            "5": None,
            "6": 8,
        }


def test_folders_decide_nothing_where_the_name_has_ids(run: Reconciliation) -> None:
    """Two ids in a member's name are not decided by a third one in its folder."""
    for number in (730048, 193228, 193229):
        run.listed(recording(number))
    run.member("p", member("193229/730048.193228.mp3"))
    run.match()

    assert set(places(run).values()) == {None}


def test_a_size_alone_moves_nothing_that_is_archived(run: Reconciliation) -> None:
    """What an earlier generation archived is not matched by a guess, and stays where it lies."""
    run.listed(recording(1, 40))
    run.earlier("1", Place(path="india/old.mp3", bytes=40, sha256="c" * 64))
    run.member("p", member("odd.mp3", 40))
    run.match()

    assert next(run.lines()).path == "india/old.mp3"
    assert run.counts() == Counts(listed=1, archived=1, missing=0, unexpected=1)


def test_several_parts_are_matched_together(run: Reconciliation) -> None:
    """A place names the part that holds the member."""
    run.part("q", Stored("india/q.zip", 1000, "b" * 64))
    for number in (1, 2):
        run.listed(recording(number))
    run.member("p", member("f2.mp3"))
    run.member("q", member("f1.mp3"))
    run.match()

    assert {line.id: line.path for line in run.lines()} == {
        "1": "india/q.zip",
        "2": "india/p.zip",
    }
    first, second = run.parts()
    assert (first.provider_job_id, second.provider_job_id) == ("p", "q")
    assert [one.name for one in second.members] == ["f1.mp3"]


def test_an_index_beside_the_recordings_is_unexpected(run: Reconciliation) -> None:
    """A CSV or JSON file is not a recording, whatever its number or size, and disturbs nothing."""
    run.listed(recording(1, 5))
    run.listed(recording(2, 6))
    run.member("p", member("f1.mp3"))
    for name in ("2.json", "1.json", "index.csv"):
        run.member("p", member(name, 6 if name == "2.json" else 5, sound=None))
    run.match()

    assert places(run) == {"1": "f1.mp3", "2": None}
    assert run.counts().unexpected == 3
    assert run.not_understood() == []
    assert [one["id"] for one in run.missing()] == ["2"]


def test_names_that_are_not_understood_are_shown(run: Reconciliation) -> None:
    """Where more than half of the members stay unmatched, three of them are named."""
    for number in range(1, 9):
        run.listed(recording(number, 50))
    for name in ("f1.mp3", "f2.mp3", "f3.mp3", "u.mp3", "v.mp3", "w.mp3", "x.mp3"):
        run.member("p", member(name))
    run.match()

    assert run.not_understood() == ["u.mp3", "v.mp3", "w.mp3"]


def test_half_of_the_names_is_understood(run: Reconciliation) -> None:
    """Exactly half is not more than half, and no member at all is understood too."""
    run.listed(recording(1))
    run.listed(recording(2, 50))
    run.match()
    assert run.not_understood() == []

    run.member("p", member("f1.mp3"))
    run.member("p", member("u.mp3"))
    run.match()
    assert run.not_understood() == []


def test_nothing_is_left_to_understand_when_nothing_is_missing(run: Reconciliation) -> None:
    """Members beyond what was listed do not make a whole day incomplete."""
    run.listed(recording(1))
    for name in ("f1.mp3", "u.mp3", "v.mp3"):
        run.member("p", member(name))
    run.match()

    assert run.not_understood() == []
    assert run.counts() == Counts(listed=1, archived=1, missing=0, unexpected=2)


def test_what_an_earlier_generation_archived_is_not_missing(run: Reconciliation) -> None:
    """A place in an earlier ZIP or a single file stands, and is not a file of this run."""
    for number in (1, 2, 3):
        run.listed(recording(number))
    old = Place(path="india/old.zip", member="f1.mp3", bytes=1, sha256="c" * 64)
    run.earlier("1", old)
    run.earlier("2", Place(path="india/2.mp3", bytes=2, sha256="d" * 64))
    run.earlier("77", old)
    run.match()
    for one in run.missing():
        run.fetched(one["id"], Stored(f"india/{one['id']}.mp3", 3, "e" * 64))

    first, second, third = run.lines()
    assert first == Line.of(recording(1), old)
    assert not second.is_in_zip
    assert third.path == "india/3.mp3"
    assert [one.recording_id for one in run.files()] == ["3"]
    assert run.counts() == Counts(listed=3, archived=3, missing=0, unexpected=0)


def test_a_new_zip_is_named_before_an_earlier_place(run: Reconciliation) -> None:
    """What this run's ZIP holds is where the recording lies, whichever was said first."""
    run.listed(recording(1))
    old = Place(path="india/old.zip", member="f1.mp3", bytes=1, sha256="c" * 64)
    run.earlier("1", old)
    run.member("p", member("f1.mp3", 1))
    run.match()
    run.earlier("1", old)

    assert next(run.lines()).path == "india/p.zip"


def test_only_two_passes_with_the_same_ids_agree(run: Reconciliation) -> None:
    """One pass never agrees, nor do two with a recording more or another one; the last counts."""
    run.listed(recording(1))
    assert not run.passes_agree()
    run.start_pass()
    run.listed(recording(1))
    run.listed(recording(2))
    assert not run.passes_agree()
    run.start_pass()
    run.listed(recording(1))
    run.listed(recording(3))
    assert not run.passes_agree()
    run.start_pass()
    run.listed(recording(3))
    run.listed(recording(1, cnam="changed meanwhile"))
    run.listed(recording(1, cnam="changed meanwhile"))
    assert run.passes_agree()
    assert [line.id for line in run.lines()] == ["1", "3"]


def test_an_empty_day_agrees(run: Reconciliation) -> None:
    """Two passes without a recording, and not one alone, are a day without recordings."""
    assert not run.passes_agree()
    run.start_pass()

    assert run.passes_agree()
    assert run.counts() == Counts(0, 0, 0, 0)


def test_lines_keep_every_field_as_listed(run: Reconciliation) -> None:
    """Unknown fields, nulls and half a surrogate pair come out as they went in."""
    odd = recording(1, cnam="\ud83d", file_name="\ud83d.mp3", extra={"a": [1, None, 2.5]})
    run.listed(odd)
    run.listed(recording(2, start=None, file_name=None, file_size_in_bytes=None))
    run.match()

    assert {line.id: line.fields for line in run.lines()}["1"] == {**odd, "missing": True}
    assert run.counts().missing == 2


def test_no_field_of_the_provider_s_is_taken_for_a_place(run: Reconciliation) -> None:
    """A listed "missing" or "member" would hide a recording that is there, or a "path" pretend one
    that is not.
    """
    odd = {"missing": True, "member": "x", "path": "y", "sha256": "z", "bytes": 1}
    for number in (1, 2, 3):
        run.listed(recording(number, **odd))
    run.member("p", member("f1.mp3"))
    run.match()
    run.fetched("2", Stored("india/2.mp3", 2, "d" * 64))
    lines = {line.id: line.fields for line in run.lines()}

    assert (lines["1"]["member"], lines["1"]["path"]) == ("f1.mp3", "india/p.zip")
    assert (lines["2"]["path"], lines["2"]["bytes"]) == ("india/2.mp3", 2)
    assert "missing" not in {**lines["1"], **lines["2"]}
    assert "member" not in lines["2"]
    assert lines["3"] == {**recording(3), "missing": True}


def test_a_list_that_was_written_before_is_taken_over(tmp_path: Path) -> None:
    """Who completes a run after its worker died gets the same lines, files and counts."""
    with Reconciliation(tmp_path / "one") as one:
        _half_a_run(one)
        for number in (1, 2, 3, 4):
            one.listed(recording(number))
        one.earlier("2", Place(path="india/2.mp3", bytes=2, sha256="d" * 64))
        one.match()
        one.fetched("3", Stored("india/3.mp3", 3, "e" * 64))
        lines, files, counts = list(one.lines()), list(one.files()), one.counts()
    with Reconciliation(tmp_path / "two") as two:
        _half_a_run(two)
        two.adopt(lines)
        two.earlier("2", Place(path="india/2.mp3", bytes=2, sha256="d" * 64))

        assert (list(two.lines()), list(two.files()), two.counts()) == (lines, files, counts)


def test_a_list_taken_over_speaks_of_the_members_that_it_names(run: Reconciliation) -> None:
    """Only a member of the same ZIP, name and sum is the recording's, and each is one recording's:
    what lies elsewhere is an earlier generation's, and the member stays unexpected.
    """
    named = [member(f"{name}.mp3") for name in ("same", "same", "changed", "elsewhere")]
    for one in named:
        run.member("p", one)
    places_of = [("p", named[0].sha256), ("p", named[0].sha256), ("p", "0" * 64)]
    places_of.append(("old", named[3].sha256))
    run.adopt(
        Line.of(
            recording(number),
            Place(path=f"india/{zip_name}.zip", member=one.name, bytes=5, sha256=sha256),
        )
        for number, (one, (zip_name, sha256)) in enumerate(zip(named, places_of, strict=True))
    )

    assert run.counts() == Counts(listed=4, archived=4, missing=0, unexpected=2)


def _half_a_run(run: Reconciliation) -> None:
    run.start_pass()
    run.part("p", Stored("india/p.zip", 1000, "a" * 64))
    run.member("p", member("f1.mp3"))
    run.member("p", member("f1.mp3", 6))


def test_the_scratch_is_removed_and_begins_anew(tmp_path: Path) -> None:
    """Nothing of a run that was killed is taken for this one's, and nothing is left behind."""
    scratch = tmp_path / "scratch"
    scratch.write_bytes(b"left by a worker that was killed")
    with Reconciliation(scratch) as run:
        assert run.counts() == Counts(0, 0, 0, 0)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["name", "number", "size"])
def test_memory_stays_flat(tmp_path: Path, way: str) -> None:
    """70,000 recordings are reconciled and sealed within 32 MB, however they are matched."""
    grown = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path), "70000", way],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert int(grown.stdout) <= 32


def test_what_came_twice_is_understood_as_well(run: Reconciliation) -> None:
    """An export was created again since one of its parts was thrown away: what the other held comes
    again, and is no member whose name is not understood, so that the gaps are fetched.
    """
    run.part("again", Stored("india/again.zip", 1000, "b" * 64))
    for number in range(4):
        run.listed(recording(number))
    for part in ("p", "again"):
        for name in ("f0.mp3", "f1.mp3", "of-another-day.mp3"):
            run.member(part, member(name))
    run.match()
    assert run.counts().missing == 2
    assert run.not_understood() == []
