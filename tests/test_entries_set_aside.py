"""Entries that are set aside, and recordings with odd fields, in the reconciliation of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.audio.properties import Sound
from archive.documents import recordings_list
from archive.reconciliation import Counts, Reconciliation
from archive.store.directory import Stored
from archive.zip.verification import Member

ASIDE: dict[str, Any] = {
    "id": "unreadable-abc",
    "start": None,
    "file_name": "a.mp3",
    "set_aside": "it has no id that can be read",
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Reconciliation]:
    """A run that begins its first pass, with one ZIP."""
    with Reconciliation(tmp_path / "scratch") as reconciliation:
        reconciliation.start_pass()
        reconciliation.part("p", Stored("a/p.zip", 1, "0" * 64))
        yield reconciliation


def listed(number: int, **more: Any) -> dict[str, Any]:
    """A recording as the client gives it."""
    return {"id": str(number), "start": "2026-11-10T10:30:00Z", **more}


def test_an_entry_that_is_set_aside_is_missing_whatever_came(run: Reconciliation) -> None:
    """Neither its name in a ZIP nor its id finds it; the others are archived; its line says why."""
    run.listed(ASIDE)
    run.listed({"id": "7", "start": None, "set_aside": "its start cannot be read"})
    run.listed(listed(1, file_name="b.mp3"))
    for name in ("a.mp3", "b.mp3", "recording_7.mp3"):
        run.member("p", Member(name, 10, "1" * 64, Sound("mp3")))
    run.match()
    assert run.counts() == Counts(listed=3, archived=1, missing=2, unexpected=2)
    assert list(run.missing()) == []
    lines = {line.id: line.fields for line in run.lines()}
    assert lines["unreadable-abc"] == {**ASIDE, "missing": True}
    assert lines["7"]["missing"] is True
    assert lines["1"]["member"] == "b.mp3"


def test_it_does_not_make_the_others_names_not_understood(run: Reconciliation) -> None:
    """Where all that can be archived is archived, its own member is no riddle."""
    run.listed(ASIDE)
    run.member("p", Member("a.mp3", 10, "1" * 64, Sound("mp3")))
    run.match()
    assert run.not_understood() == []


def test_it_takes_part_in_the_agreement_of_passes(run: Reconciliation) -> None:
    """An entry that comes or goes between two looks is a change of the list."""
    run.listed(ASIDE)
    run.start_pass()
    run.listed(ASIDE)
    assert run.passes_agree()
    run.start_pass()
    assert not run.passes_agree()
    assert run.counts().listed == 0


def test_it_is_taken_over_from_the_lines_of_a_worker_that_died(
    run: Reconciliation, tmp_path: Path
) -> None:
    """The same lines are written again."""
    run.listed(ASIDE)
    run.listed(listed(1))
    before = list(run.lines())
    run.adopt(before)
    assert list(run.lines()) == before
    assert run.counts() == Counts(listed=2, archived=0, missing=2, unexpected=0)
    recordings_list.write(tmp_path / "lines", run.lines())
    assert [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()] == [
        line.fields for line in before
    ]


@pytest.mark.parametrize("size", [0, None, -1, "10", 10.0, {"a": 1}, True])
@pytest.mark.parametrize("name", ["a.mp3", "call-1.mp3"])
def test_a_size_of_nothing_is_unknown(run: Reconciliation, size: Any, name: str) -> None:
    """A member is not refused for a size that no recording has."""
    run.listed(listed(1, file_name="a.mp3", file_size_in_bytes=size))
    run.member("p", Member(name, 10, "1" * 64, Sound("mp3")))
    run.match()
    assert run.counts().missing == 0


@pytest.mark.parametrize("name", [["a.mp3"], {"a": 1}, 7, True, "", None, "a\ud83d\0.mp3"])
def test_a_name_of_another_kind_is_none(run: Reconciliation, name: Any) -> None:
    """The recording is found by its id, and its line keeps what was sent."""
    run.listed(listed(193228, file_name=name))
    run.member("p", Member("recording_193228.mp3", 10, "1" * 64, Sound("mp3")))
    run.match()
    assert run.counts().missing == 0
    (line,) = run.lines()
    assert line.fields["file_name"] == name


def test_any_text_can_be_written(run: Reconciliation, tmp_path: Path) -> None:
    """NUL, halves of characters, control characters: the file is UTF-8, one line a recording."""
    odd = "a\0b \ud83d \x1b\n\u2028 \x85"
    run.listed(listed(1, cnam=odd, end={"raw": odd}))
    recordings_list.write(tmp_path / "lines", run.lines())
    (line,) = (tmp_path / "lines").read_bytes().decode("utf-8").split("\n")[:-1]
    assert json.loads(line)["cnam"] == odd
    assert recordings_list.parse(line.encode(), "lines").fields["end"] == {"raw": odd}
