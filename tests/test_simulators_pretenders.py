"""What a provider sends instead of recordings, and beside them, when the simulator is told to."""

from __future__ import annotations

import unicodedata

import pytest

from .simulators import Simulators
from .simulators.audio import PRETENDERS
from .test_simulators_archives import names, simulators, visitor
from .visitor import Visitor

__all__ = ["simulators", "visitor"]


def test_companions_lie_beside_each_recording(visitor: Visitor) -> None:
    """Transcripts, an empty file and a second recording of it, before the recordings or behind."""
    visitor.account.configure(companions="vtt,empty,wav", companions_at="before")
    before = names(visitor.archive(visitor.export()[0]).content)
    visitor.account.configure(companions_at="behind")
    behind = names(visitor.archive(visitor.export()[0]).content)
    assert [name.rpartition(".")[2] for name in before] == ["vtt", "empty", "wav"] * 12 + [
        "mp3"
    ] * 12
    assert sorted(before) == sorted(behind)
    assert behind[0].endswith(".mp3")


@pytest.mark.parametrize("sizes", ["absent", "zero"])
def test_sizes_and_durations_may_not_be_listed(visitor: Visitor, sizes: str) -> None:
    """Fields that are absent, or sizes of 0 for whole files."""
    visitor.account.configure(sizes=sizes, durations="absent")
    rows = visitor.page().json()["_embedded"]["recordings"]
    assert {row.get("file_size_in_bytes") for row in rows} == {0 if sizes == "zero" else None}
    assert all("duration" not in row for row in rows)


def test_names_in_an_archive_may_be_decomposed(visitor: Visitor) -> None:
    """The list says one form of Unicode, the archive another."""
    visitor.account.configure(name_form="NFD")
    visitor.account.add({"start": "2026-11-19T00:00:00Z", "file_name": "José.mp3"})
    inside = names(visitor.archive(visitor.export()[0]).content)
    assert "José.mp3" not in inside
    assert "José.mp3" in {unicodedata.normalize("NFC", name) for name in inside}


def test_files_can_be_cut_or_others(visitor: Visitor) -> None:
    """Cut and served whole, with zeros before it, another file, under any content type."""
    recording = visitor.account.recordings()[0]
    whole = visitor.audio(recording["id"]).content
    visitor.account.fault("audio", "cut_file", share=0.5)
    assert visitor.audio(recording["id"]).content == whole[: len(whole) // 2]
    visitor.account.fault("audio", "preceded", bytes=417)
    assert visitor.audio(recording["id"]).content == bytes(417) + whole
    visitor.account.configure(audio_type="application/download")
    visitor.account.fault("audio", "other_file", file="sync_and_zeros")
    answer = visitor.audio(recording["id"])
    assert answer.content == PRETENDERS["sync_and_zeros"]
    assert answer.headers["content-type"] == "application/download"
    with pytest.raises(ValueError, match="file is one of"):
        visitor.account.fault("audio", "other_file", file="nothing known")


def test_members_can_be_cut_or_others(visitor: Visitor, simulators: Simulators) -> None:
    """Under a recording's own name, in an archive that is whole; and bytes around an archive."""
    del simulators
    job = visitor.export()[0]
    whole = visitor.archive(job).content
    visitor.account.fault("retrieve", "other_member", file="html")
    assert len(names(visitor.retrieve(job).content)) == len(names(whole))
    visitor.account.fault("retrieve", "cut_member")
    assert len(visitor.retrieve(job).content) < len(whole)
    visitor.account.fault("retrieve", "surrounded_zip", before="MZ")
    assert visitor.retrieve(job).content == b"MZ" + whole + b"\r\n"
