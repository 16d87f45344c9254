"""Which members of a ZIP count: only audio, in whatever way its name is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.audio.properties import Sound
from archive.reconciliation import Counts, Reconciliation
from archive.store.directory import Stored

from .test_reconciliation import member, places, recording


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Reconciliation]:
    """A run with one ZIP."""
    with Reconciliation(tmp_path / "scratch") as reconciliation:
        reconciliation.start_pass()
        reconciliation.part("p", Stored("india/p.zip", 1000, "a" * 64))
        yield reconciliation


def test_a_name_is_matched_however_its_letters_are_written(run: Reconciliation) -> None:
    """Composed or not, on either side, and in Windows' code page that the ZIP does not name."""
    for number, name in ((1, "Jos\u00e9.mp3"), (2, "Mu\u0308ller.mp3"), (3, "Ni\u00f1o.mp3")):
        run.listed(recording(number, file_name=name))
    for name in (
        "a/Jose\u0301.mp3",
        "M\u00fcller.mp3",
        "Ni\u00f1o.mp3".encode("cp1252").decode("cp437"),
    ):
        run.member("p", member(name))
    run.match()

    assert None not in places(run).values()
    assert run.counts() == Counts(listed=3, archived=3, missing=0, unexpected=0)


def test_only_audio_is_a_recording(run: Reconciliation) -> None:
    """What was not heard to be audio is none under any name, id or size; a cut file is none where
    nothing else vouches for it.
    """
    for number, size in ((1, None), (2, None), (3, 33), (4, None)):
        run.listed(recording(number, size, duration=10_000))
    for name, sound in (
        ("f1.mp3", None),
        ("call_2.mp3", None),
        ("unknown", None),
        ("f4.mp3", Sound("mp3", 6.0)),
    ):
        run.member("p", member(name, 33, sound))
    run.match()

    assert set(places(run).values()) == {None}
    assert run.counts().unexpected == 4
    assert run.not_understood() == []


def test_of_two_files_for_one_recording_the_listed_kind_is_it(run: Reconciliation) -> None:
    """Whichever comes first in the ZIP; where the listed kind is cut, the other one is."""
    for number, ending in ((193228, "mp3"), (193229, "wav"), (193230, "mp3")):
        run.listed(recording(number, file_name=f"f.{ending}", duration=10_000))
    for number in (193228, 193229, 193230):
        run.member("p", member(f"{number}.wav", 8, Sound("wav", 10.0)))
        seconds = 6.0 if number == 193230 else 10.0
        run.member("p", member(f"{number}.mp3", 9, Sound("mp3", seconds)))
    run.match()

    assert places(run) == {"193228": "193228.mp3", "193229": "193229.wav", "193230": "193230.wav"}
    assert run.counts().unexpected == 3


def test_members_of_earlier_zips_are_matched_and_not_counted(run: Reconciliation) -> None:
    """A ZIP of an earlier generation gives its members, and is no part of this run."""
    run.earlier_zip("india/old.zip")
    run.listed(recording(1))
    for name, sound in (("f1.mp3", Sound("mp3")), ("f1.vtt", None), ("odd.mp3", Sound("mp3"))):
        run.member("india/old.zip", member(name, sound=sound))
    run.match()

    assert places(run) == {"1": "f1.mp3"}
    assert next(run.lines()).path == "india/old.zip"
    assert [part.provider_job_id for part in run.parts()] == ["p"]
    assert run.counts() == Counts(listed=1, archived=1, missing=0, unexpected=0)


def test_a_folder_named_by_the_id_holds_the_recording(run: Reconciliation) -> None:
    """Its transcript lies beside it under the same id, and is not it."""
    run.listed(recording(193228, file_name=None))
    run.member("p", member("193228/a.vtt", 3, sound=None))
    run.member("p", member("193228/audio.ogg", 5, Sound("ogg")))
    run.match()

    assert places(run) == {"193228": "193228/audio.ogg"}
    assert run.counts().unexpected == 1


def test_a_size_of_0_is_not_known(run: Reconciliation) -> None:
    """As where none is listed: the members are walked whole, and any size fits."""
    run.listed(recording(1, 0))
    assert not run.lists_every_size()
    run.member("p", member("f1.mp3", 77))
    run.match()

    assert places(run) == {"1": "f1.mp3"}
